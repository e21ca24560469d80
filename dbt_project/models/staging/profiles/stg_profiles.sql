with profiles as (
    select * from {{ source('raw', 'profiles') }}
),

files as (
    select
        file_id,
        path,
        loaded_at
    from {{ source('raw', 'files') }}
    where entity = 'profiles'
),

known as (
    select
        {{ identifier_of('profiles', has_device=false) }} as identifier,
        profiles.source,
        {{ text_or_null('profiles.country') }} as country,
        {{ text_or_null('profiles.region') }} as region,
        profiles.birth_year,
        {{ text_or_null('profiles.gender') }} as gender,
        {{ text_or_null('profiles.loyalty_tier') }} as loyalty_tier,
        profiles.signed_up_at,
        coalesce(profiles.updated_at, profiles.received_at) as told_at,
        -- Of records of one instant the file loaded last counts, of those loaded at once the last by name.
        row_number() over (
            order by
                profiles.updated_at desc nulls last,
                profiles.received_at desc nulls last,
                files.loaded_at desc nulls last,
                files.path desc nulls last,
                profiles.line_number desc,
                profiles.source asc,
                profiles.file_id desc
        ) as place
    from profiles
    left join files on profiles.file_id = files.file_id
    where
        coalesce(profiles.received_at <= {{ as_of() }}, true)
        and coalesce(profiles.updated_at < {{ as_of() }}, true)
),

-- A record that only an address of many people stands in is nobody's.
final as (
    select * from known
    where identifier is not null
)

select * from final
