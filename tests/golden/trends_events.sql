-- trends {"range": {"from": "2026-10-01", "to": "2026-10-02"}, "series": [{"event": "buy"}]}

-- buy: the values
--   p0 = [1790784000000, 1790870400000]
--   p1 = 'golden'
--   p2 = 1790784000000
--   p3 = 1790956800000
--   p4 = 'buy'
SELECT grouping(bucket) AS is_total, bucket, '' AS key, count()
FROM (
    SELECT dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS actor,
        roundDown(toUnixTimestamp64Milli(time), {p0:Array(Int64)}) AS bucket
    FROM events
    WHERE project = {p1:String}
        AND time >= fromUnixTimestamp64Milli({p2:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p3:Int64}, 'UTC')
        AND event IN ({p4:String})
)
GROUP BY GROUPING SETS ((bucket), ());
