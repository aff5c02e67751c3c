-- A tier's place from least to most important, for sorting; null for an unknown tier.
CREATE OR REPLACE MACRO tier_rank(tier) AS
    list_position(['free', 'best_effort_batch', 'mid', 'production', 'monitoring'], tier);
