-- paths {"range": {"from": "2026-10-01", "to": "2026-10-02"}, "start": "login"}

-- the rows that are scanned
--   p0 = 'golden'
--   p1 = 1790784000000
--   p2 = 1790956800000
SELECT dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS actor,
    toUnixTimestamp64Milli(time) AS ms,
    seq,
    event_key,
    CAST(greatest(sipHash64(event), 1), 'UInt64') AS name
FROM events
WHERE project = {p0:String}
        AND time >= fromUnixTimestamp64Milli({p1:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p2:Int64}, 'UTC')
        AND type = 'track';

-- the nodes' labels by their hashes, once for each different name
--   p3 = 'login'
--   p4 = '...'
--   p5 = ['buy']
SELECT greatest(sipHash64(name), 1) AS name_hash, greatest(sipHash64(label), 1) AS label_hash,
    toUInt8(if(label IN ({p3:String}), 1, 0) + if(label IN ({p4:String}), 4, 0)) AS role
FROM (
    SELECT name, toString(name) AS label FROM (SELECT arrayJoin({p5:Array(String)}) AS name)
    UNION ALL
    SELECT {p4:String} AS name, {p4:String} AS label
)
ORDER BY label;

-- the texts of the labels that the answer shows
--   p5 = ['buy']
--   p6 = []
SELECT greatest(sipHash64(label), 1) AS label_hash, any(label) AS text
FROM (
    SELECT name, toString(name) AS label FROM (SELECT arrayJoin({p5:Array(String)}) AS name)
)
WHERE label_hash IN {p6:Array(UInt64)}
GROUP BY label_hash;
