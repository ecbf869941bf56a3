-- trends {"range": {"from": "2026-10-01", "to": "2026-10-02"}, "series": [{"event": null, "measure": "users"}], "trailing": 7}

-- any event: the values
--   p0 = [1790265600000, 1790352000000, 1790438400000, 1790524800000, 1790611200000, 1790697600000, 1790784000000, 1790870400000]
--   p1 = 'golden'
--   p2 = 1790265600000
--   p3 = 1790956800000
SELECT grouping(bucket) AS is_total, bucket, '' AS key, uniqExactIf(actor, actor != 0)
FROM (
    SELECT dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS actor,
        arrayJoin(arraySlice({p0:Array(Int64)}, greatest(indexOf({p0:Array(Int64)}, roundDown(toUnixTimestamp64Milli(time), {p0:Array(Int64)})), 7), least(indexOf({p0:Array(Int64)}, roundDown(toUnixTimestamp64Milli(time), {p0:Array(Int64)})) + 6, 8) - greatest(indexOf({p0:Array(Int64)}, roundDown(toUnixTimestamp64Milli(time), {p0:Array(Int64)})), 7) + 1)) AS bucket
    FROM events
    WHERE project = {p1:String}
        AND time >= fromUnixTimestamp64Milli({p2:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p3:Int64}, 'UTC')
        AND type = 'track'
)
GROUP BY GROUPING SETS ((bucket));

-- any event: the total
--   p1 = 'golden'
--   p3 = 1790956800000
--   p4 = 1790784000000
SELECT 1 AS is_total, toInt64(0) AS bucket, '' AS key, uniqExactIf(actor, actor != 0)
FROM (
    SELECT dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS actor
    FROM events
    WHERE project = {p1:String}
        AND time >= fromUnixTimestamp64Milli({p4:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p3:Int64}, 'UTC')
        AND type = 'track'
)
GROUP BY GROUPING SETS (());
