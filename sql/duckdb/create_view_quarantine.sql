-- Records of the source that could not be used, with the reason and their original text.
CREATE OR REPLACE VIEW quarantine AS
SELECT * FROM $rows;
