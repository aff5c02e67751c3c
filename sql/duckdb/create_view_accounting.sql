-- Where every record of each table went: kept, quarantined by reason, or filtered.
CREATE OR REPLACE VIEW accounting AS
SELECT * FROM $rows;
