{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook=["{{ forget_touched('customer_id') }}", "{{ join_as_written() }}"],
    post_hook="{{ join_freely() }}",
) }}

with events as (
    select * from {{ ref('int_source_events') }}
),

bots as (
    select actor_id from {{ ref('int_bots') }} where is_whole_actor and {{ is_made_now() }}
),

identities as (
    select * from {{ ref('int_identities') }}
    where {{ is_made_now() }}
),

borrowed_visits as (
    select * from {{ ref('int_borrowed_visits') }}
    where {{ is_made_now() }}
),

refused as (
    select event_id from {{ ref('int_refused_events') }}
    where {{ is_made_now() }}
),

-- Without consent an order is what was bought; how its buyer came to it, and all else that they did, is not used.
allowed as (
    select
        events.* replace (
            events.opens_session and refused.event_id is null as opens_session,
            case when refused.event_id is null then events.url_path end as url_path,
            case when refused.event_id is null then events.channel end as channel,
            case when refused.event_id is null then events.campaign end as campaign,
            case when refused.event_id is null then events.device end as device
        )
    from events
    left join refused on events.event_id = refused.event_id
    where refused.event_id is null or events.event_type in ('purchase', 'refund')
),

-- Whose an event is: the surest identifier that it tells; on a device of several people, who signed in on that visit.
owned as (
    select
        events.*,
        coalesce(borrowed_visits.identifier, events.identifier) as owner,
        greatest(events.received_at, borrowed_visits.linked_at) as owner_known_at
    from allowed as events
    left join borrowed_visits on events.event_id = borrowed_visits.event_id
),

items as (
    select
        item_id,
        {{ versions_of('category') }} as categories,
        {{ versions_of('brand') }} as brands
    from {{ ref('int_item_versions') }}
    group by item_id
),

exchange_rates as (
    select * from {{ ref('stg_exchange_rates') }}
),

-- Rates are looked up once an instant, and only for currencies that have any and are not the reporting one.
priced_instants as (
    select distinct
        currency,
        coalesce(ordered_at, occurred_at) as priced_at
    from {{ ref('int_source_events') }}
    where
        currency != '{{ var("currency") }}'
        and currency in (select exchange_rates.currency from exchange_rates)
),

rates as (
    select
        priced_instants.currency,
        priced_instants.priced_at,
        exchange_rates.rate
    from priced_instants
    asof inner join exchange_rates
        on
            priced_instants.currency = exchange_rates.currency
            and priced_instants.priced_at >= exchange_rates.valid_from
),

resolved as (
    select
        events.event_id,
        events.source,
        events.entity,
        events.event_type,
        events.occurred_at,
        events.ordered_at,
        events.received_at,
        events.item_id,
        {{ converted('events.price', 'events.currency', 'rates.rate') }} as price,
        events.price as original_price,
        events.line_amount,
        events.quantity,
        events.discount,
        coalesce(events.currency, '{{ var("currency") }}') as currency,
        case
            when coalesce(events.currency, '{{ var("currency") }}') = '{{ var("currency") }}' then 1
            else rates.rate
        end as exchange_rate,
        events.order_id,
        events.order_discount,
        events.order_tax,
        events.order_shipping,
        events.search_query,
        events.url_path,
        events.channel,
        events.campaign,
        events.device,
        events.country,
        events.region,
        events.scroll_depth_pct,
        {% for attribute, versions in [('category', 'categories'), ('brand', 'brands')] -%}
            coalesce(
                events.{{ attribute }},
                {{ field_of(in_force('items.' ~ versions, 'events.received_at'), 'value') }}
            ) as {{ attribute }},
            case
                when events.{{ attribute }} is null
                    then {{ field_of(in_force('items.' ~ versions, 'events.received_at'), 'known_at') }}
            end as {{ attribute }}_known_at,
        {% endfor -%}
        coalesce(identities.customer_id, events.owner) as customer_id,
        coalesce(identities.is_registered, events.owner != events.anonymous_id, events.anonymous_id is null)
            as is_registered,
        greatest(events.owner_known_at, identities.linked_at) as known_at,
        events.opens_session
    from owned as events
    left join identities on events.owner = identities.identifier
    left join items on events.item_id = items.item_id
    left join rates
        on events.currency = rates.currency and coalesce(events.ordered_at, events.occurred_at) = rates.priced_at
    -- What the shop has sold is sold, whatever else came from that address.
    anti join bots on case when events.entity != 'orders' then events.actor_id end = bots.actor_id
    where
        not events.is_bot
        and events.actor_id is not null
        and events.set_aside_rule is null
        and {{ in_slice('coalesce(identities.customer_id, events.owner)') }}
),

paused as (
    {{ session_starts('resolved') }}
),

sessions as (
    select
        event_id,
        customer_id,
        occurred_at,
        last_value(case when is_start then {{ hashed_id(['customer_id', 'event_id']) }} end ignore nulls) over (
            partition by customer_id order by occurred_at, event_id
            rows between unbounded preceding and current row
        ) as session_id
    from paused
),

untracked_orders as (
    select
        event_id,
        customer_id,
        occurred_at
    from resolved
    where entity = 'orders' and event_type = 'purchase' and not opens_session
),

sessions_of_buyers as (
    select * from sessions
    where customer_id in (select untracked_orders.customer_id from untracked_orders)
),

-- An order that no tracker saw belongs to the visit that it was made in, but opens none: it may come from a till.
sessions_of_orders as (
    select
        untracked_orders.event_id,
        sessions_of_buyers.session_id
    from untracked_orders
    asof inner join sessions_of_buyers
        on
            untracked_orders.customer_id = sessions_of_buyers.customer_id
            and untracked_orders.occurred_at >= sessions_of_buyers.occurred_at
    where {{ may_share_session('sessions_of_buyers.occurred_at', 'untracked_orders.occurred_at') }}
),

final as (
    select
        resolved.* exclude (category_known_at, brand_known_at), -- noqa: RF02
        coalesce(sessions.session_id, sessions_of_orders.session_id) as session_id,
        {{ utc_date('resolved.occurred_at') }} as event_date,
        {{ known_date('resolved.known_at', utc_date('resolved.occurred_at')) }} as known_date,
        {{ known_date('resolved.category_known_at', utc_date('resolved.occurred_at')) }} as category_known_date,
        {{ known_date('resolved.brand_known_at', utc_date('resolved.occurred_at')) }} as brand_known_date
    from resolved
    left join sessions on resolved.event_id = sessions.event_id
    left join sessions_of_orders on resolved.event_id = sessions_of_orders.event_id
)

select * from final
