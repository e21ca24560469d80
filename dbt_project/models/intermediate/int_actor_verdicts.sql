{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('actor_key') }}") }}

with bots as (
    select
        actor_id,
        rule
    from {{ ref('int_bots') }}
    where is_whole_actor and {{ is_made_now() }}
),

-- All that a condemned actor did; what the shop has sold is sold, whatever else came from that address.
bot_events as (
    select
        tracked.actor_id as actor_key,
        tracked.source,
        tracked.received_at,
        bots.rule
    from {{ tracked_events() }} as tracked
    inner join bots on tracked.actor_id = bots.actor_id
    where not tracked.is_bot
    union all
    select
        untracked.actor_id as actor_key,
        untracked.source,
        untracked.received_at,
        bots.rule
    from {{ ref('int_untracked_events') }} as untracked
    inner join bots on untracked.actor_id = bots.actor_id
    where untracked.entity != 'orders'
),

-- What a bot did is counted as a bot's, and not once more.
unused_events as (
    select
        actor_key,
        source,
        received_at,
        actor_id,
        rule
    from {{ ref('int_set_aside_events') }}
    where {{ is_made_now() }}
    union all
    select
        actor_key,
        source,
        received_at,
        actor_id,
        'without_consent' as rule
    from {{ ref('int_refused_events') }}
    where event_type not in ('purchase', 'refund') and {{ is_made_now() }}
),

judged as (
    select
        actor_key,
        source,
        received_at,
        rule
    from bot_events
    union all
    select
        unused_events.actor_key,
        unused_events.source,
        unused_events.received_at,
        unused_events.rule
    from unused_events
    anti join bots on unused_events.actor_id = bots.actor_id
),

final as (
    select
        actor_key,
        {{ utc_date('received_at') }} as day,
        source,
        rule,
        count(*) as n_events
    from judged
    group by 1, 2, 3, 4
)

select * from final
