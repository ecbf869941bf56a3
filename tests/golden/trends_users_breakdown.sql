-- trends {"range": {"from": "2026-10-01", "to": "2026-10-02"}, "series": [{"event": "buy", "measure": "users"}], "breakdown": ["channel", {"property": "city", "of": "user"}]}

-- buy: the largest groups
--   p0 = 'golden'
--   p1 = 1790784000000
--   p2 = 1790956800000
--   p3 = 'buy'
--   p4 = 'city'
SELECT key, uniqExactIf(actor, actor != 0) AS size
FROM (
SELECT *, concat(toString(length(part0)), ':', part0, toString(length(part1)), ':', part1) AS key FROM (
    SELECT dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS actor,
        ifNull(concat('=', `p_channel`), '') AS part0,
        dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS person
    FROM events
    WHERE project = {p0:String}
        AND time >= fromUnixTimestamp64Milli({p1:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p2:Int64}, 'UTC')
        AND event IN ({p3:String})
) AS matched LEFT ANY JOIN (SELECT user_key AS profile_key, ifNull(concat('=', if(mapContains(profile, {p4:String}), profile[{p4:String}], NULL)), '') AS part1 FROM (
    SELECT user_key, argMax(properties, version) AS profile, argMax(deleted, version) AS is_deleted
    FROM profiles WHERE project = {p0:String} GROUP BY user_key
) WHERE NOT is_deleted) AS profiles_of ON matched.person = profiles_of.profile_key
)
GROUP BY key, part0, part1
ORDER BY size DESC, part0 != '', part0, part1 != '', part1
LIMIT 26;

-- buy: the values
--   p0 = 'golden'
--   p1 = 1790784000000
--   p2 = 1790956800000
--   p3 = 'buy'
--   p4 = 'city'
--   p5 = [1790784000000, 1790870400000]
SELECT grouping(bucket) AS is_total, bucket, key, uniqExactIf(actor, actor != 0)
FROM (
SELECT *, concat(toString(length(part0)), ':', part0, toString(length(part1)), ':', part1) AS key FROM (
    SELECT dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS actor,
        roundDown(toUnixTimestamp64Milli(time), {p5:Array(Int64)}) AS bucket,
        ifNull(concat('=', `p_channel`), '') AS part0,
        dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS person
    FROM events
    WHERE project = {p0:String}
        AND time >= fromUnixTimestamp64Milli({p1:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p2:Int64}, 'UTC')
        AND event IN ({p3:String})
) AS matched LEFT ANY JOIN (SELECT user_key AS profile_key, ifNull(concat('=', if(mapContains(profile, {p4:String}), profile[{p4:String}], NULL)), '') AS part1 FROM (
    SELECT user_key, argMax(properties, version) AS profile, argMax(deleted, version) AS is_deleted
    FROM profiles WHERE project = {p0:String} GROUP BY user_key
) WHERE NOT is_deleted) AS profiles_of ON matched.person = profiles_of.profile_key
)
GROUP BY GROUPING SETS ((bucket, key), (key));
