-- trends {"range": {"from": "2026-10-01", "to": "2026-10-02"}, "interval": "total", "series": [{"event": "buy", "occurrence": "first_ever", "measure": "users"}], "sample": 0.1}

-- buy: the values
--   p0 = 'golden'
--   p1 = 'buy'
--   p2 = 1790784000000
--   p3 = 1790956800000
--   p4 = 100000
SELECT 1 AS is_total, toInt64(0) AS bucket, '' AS key, uniqExactIf(actor, actor != 0)
FROM (
    SELECT dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS actor
    FROM events
    WHERE project = {p0:String}
        AND time >= fromUnixTimestamp64Milli({p2:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p3:Int64}, 'UTC')
        AND event IN ({p1:String})
        AND sipHash64(if(dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) = 0, toUInt64(abs(toUnixTimestamp64Milli(time))), dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key))) % 1000000 < {p4:Int64}
        AND (dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key), time, seq, event_key) IN (SELECT actor, first.1, first.2, first.3 FROM (
        SELECT dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS actor, min((time, seq, event_key)) AS first
        FROM events WHERE project = {p0:String} AND event IN ({p1:String}) AND dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) != 0
        GROUP BY actor))
)
GROUP BY GROUPING SETS (());
