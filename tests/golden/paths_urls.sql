-- paths {"range": {"from": "2026-10-01", "to": "2026-10-02"}, "events": [{"event": "$pageview"}, {"event": "buy", "where": [{"property": "amount", "op": "gt", "value": 5}]}], "node": {"property": "$url_path", "for": ["$pageview"]}, "session": "$event_session_id", "clean": [{"pattern": "[0-9]+", "replace": "n"}], "groups": ["/fund/*"], "start": "/fund/", "end": "buy", "actor": {"property": "channel"}}

-- the rows that are scanned
--   p0 = '$pageview'
--   p1 = 'golden'
--   p2 = 1790784000000
--   p3 = 1790956800000
--   p4 = 'buy'
--   p5 = '5'
SELECT if(isNotNull(`p_channel`), greatest(sipHash64(ifNull(`p_channel`, '')), 1), 0) AS actor,
    toUnixTimestamp64Milli(time) AS ms,
    seq,
    event_key,
    CAST(if(isNotNull(`p_$url_path`) AND event IN ({p0:String}), greatest(sipHash64(replaceRegexpOne(ifNull(`p_$url_path`, ''), '(\\C)/\\z', '\\1')), 1), greatest(sipHash64(event), 1)), 'UInt64') AS name,
    CAST(if(isNotNull(`p_$event_session_id`), greatest(sipHash64(ifNull(`p_$event_session_id`, '')), 1), 0), 'UInt64') AS session
FROM events
WHERE project = {p1:String}
        AND time >= fromUnixTimestamp64Milli({p2:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p3:Int64}, 'UTC')
        AND event IN ({p0:String}, {p4:String})
        AND isNotNull(`p_channel`) AND
    ((event IN ({p0:String})) OR (event IN ({p4:String}) AND ifNull(toDecimal256(`p_amount`, 30) > toDecimal256({p5:String}, 30), 0)));

-- the nodes' labels by their hashes, once for each different name
--   p0 = '$pageview'
--   p1 = 'golden'
--   p2 = 1790784000000
--   p3 = 1790956800000
--   p4 = 'buy'
--   p5 = '5'
--   p6 = '/fund/'
--   p7 = '/fund'
--   p8 = '...'
--   p9 = '[0-9]+'
--   p10 = 'n'
--   p11 = '%/fund/%%'
--   p12 = '/fund/*'
SELECT greatest(sipHash64(name), 1) AS name_hash, greatest(sipHash64(label), 1) AS label_hash,
    toUInt8(if(label IN ({p6:String}, {p7:String}), 1, 0) + if(label IN ({p4:String}), 2, 0) + if(label IN ({p8:String}), 4, 0)) AS role
FROM (
    SELECT name, toString(arrayMap(cleaned -> multiIf(cleaned LIKE {p11:String}, {p12:String}, cleaned), [replaceRegexpAll(name, {p9:String}, {p10:String})])[1]) AS label FROM (
        SELECT DISTINCT toString(if(isNotNull(`p_$url_path`) AND event IN ({p0:String}), replaceRegexpOne(ifNull(`p_$url_path`, ''), '(\\C)/\\z', '\\1'), event)) AS name
        FROM events
        WHERE project = {p1:String}
                AND time >= fromUnixTimestamp64Milli({p2:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p3:Int64}, 'UTC')
                AND event IN ({p0:String}, {p4:String})
                AND isNotNull(`p_channel`) AND
            ((event IN ({p0:String})) OR (event IN ({p4:String}) AND ifNull(toDecimal256(`p_amount`, 30) > toDecimal256({p5:String}, 30), 0)))
    )
    UNION ALL
    SELECT {p8:String} AS name, {p8:String} AS label
)
ORDER BY label;

-- the texts of the labels that the answer shows
--   p0 = '$pageview'
--   p1 = 'golden'
--   p2 = 1790784000000
--   p3 = 1790956800000
--   p4 = 'buy'
--   p5 = '5'
--   p9 = '[0-9]+'
--   p10 = 'n'
--   p11 = '%/fund/%%'
--   p12 = '/fund/*'
--   p13 = []
SELECT greatest(sipHash64(label), 1) AS label_hash, any(label) AS text
FROM (
    SELECT name, toString(arrayMap(cleaned -> multiIf(cleaned LIKE {p11:String}, {p12:String}, cleaned), [replaceRegexpAll(name, {p9:String}, {p10:String})])[1]) AS label FROM (
        SELECT DISTINCT toString(if(isNotNull(`p_$url_path`) AND event IN ({p0:String}), replaceRegexpOne(ifNull(`p_$url_path`, ''), '(\\C)/\\z', '\\1'), event)) AS name
        FROM events
        WHERE project = {p1:String}
                AND time >= fromUnixTimestamp64Milli({p2:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p3:Int64}, 'UTC')
                AND event IN ({p0:String}, {p4:String})
                AND isNotNull(`p_channel`) AND
            ((event IN ({p0:String})) OR (event IN ({p4:String}) AND ifNull(toDecimal256(`p_amount`, 30) > toDecimal256({p5:String}, 30), 0)))
    )
)
WHERE label_hash IN {p13:Array(UInt64)}
GROUP BY label_hash;
