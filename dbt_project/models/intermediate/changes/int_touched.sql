{% set is_partial = is_increment() %}

with changed as (
    select * from {{ ref('int_changed_records') }}
),

links as (
    select * from {{ ref('int_actor_links') }}
),

identities as (
    select * from {{ source('identity', 'identifiers') }}
),

consents as (
    select * from {{ ref('int_consents') }}
),

item_versions as (
    select * from {{ ref('int_item_versions') }}
),

price_tiers as (
    select * from {{ ref('int_price_tiers') }}
),

{% if is_partial %}
former_identities as (
    select distinct
        identifier,
        customer_id
    from ({{ changed_rows('identity', 'identifiers', 'identifier, customer_id') }})
),

-- A device that many share, or no longer.
shared_devices as (
    select other_identifier as touched_key
    from ({{ changed_rows('identity', 'links', 'other_identifier, cut_reason') }})
    where cut_reason is not null
),

decisions as (
    {{ differing_rows('consents', formerly('intermediate', 'int_consents'), ['customer_id', 'purpose', 'state'], 'is_current') }}
),

-- What is known of an item is another thing than before.
changed_items as (
    {{ differing_rows('item_versions', formerly('intermediate', 'int_item_versions'), ['*'], "attribute != 'price'") }}
),

-- That a span ends where the next begins is no change of its own.
tiers as (
    select
        *,
        1 as version
    from price_tiers
    union all
    select
        *,
        2 as version
    from {{ formerly('intermediate', 'int_price_tiers') }}
),

changed_tiers as (
    select
        category,
        valid_from,
        max(valid_to) as valid_to
    from tiers
    group by category, valid_from
    having
        count(*) = 1
        or max(budget_up_to) != min(budget_up_to)
        or max(mid_up_to) != min(mid_up_to)
),

rates as (
    select
        currency,
        min(valid_from) as valid_from
    from ({{ changed_rows('raw', 'exchange_rates', currency_code('currency') ~ ' as currency, valid_from') }})
    group by currency
),

-- Read only where something else is known of an item, a price tier or a rate.
former_events as not materialized (
    select
        customer_id,
        item_id,
        category,
        event_date,
        currency,
        coalesce(ordered_at, occurred_at) as priced_at
    from {{ formerly('intermediate', 'int_events') }}
),

described_anew as (
    select distinct former_events.customer_id
    from former_events
    semi join changed_items on former_events.item_id = changed_items.item_id
),

tiered_anew as (
    select distinct former_events.customer_id
    from former_events
    inner join changed_tiers
        on
            former_events.category = changed_tiers.category
            and former_events.event_date >= changed_tiers.valid_from
            and former_events.event_date < changed_tiers.valid_to
),

priced_anew as (
    select distinct former_events.customer_id
    from former_events
    inner join rates
        on former_events.currency = rates.currency and former_events.priced_at >= rates.valid_from
),
{% endif %}

seeds as (
    select {{ actor_key('actor_id') }} as touched_key from changed
    union
    select identifier as touched_key from changed
    union
    select {{ order_key('order_id') }} as touched_key from changed
    {% if is_partial %}
    union
    select identifier as touched_key from former_identities
    union
    select customer_id as touched_key from former_identities
    union
    select touched_key from shared_devices
    union
    select customer_id as touched_key from decisions
    union
    select customer_id as touched_key from described_anew
    union
    select customer_id as touched_key from tiered_anew
    union
    select customer_id as touched_key from priced_anew
    {% endif %}
),

edges as (
    select
        actor_key as near_key,
        linked_key as far_key
    from links
    union all
    select
        linked_key as near_key,
        actor_key as far_key
    from links
    union all
    select
        identifier as near_key,
        customer_id as far_key
    from identities
    where identifier != customer_id
    union all
    select
        customer_id as near_key,
        identifier as far_key
    from identities
    where identifier != customer_id
    {% if is_partial %}
    union all
    select
        identifier as near_key,
        customer_id as far_key
    from former_identities
    union all
    select
        customer_id as near_key,
        identifier as far_key
    from former_identities
    {% endif %}
),

-- Whatever a record of somebody touched tells of may change too: people on one device, in one order.
touched as (
    with recursive reached as (
        select touched_key
        from seeds
        where touched_key is not null
        union
        select edges.far_key as touched_key
        from reached
        inner join edges on reached.touched_key = edges.near_key
    )

    select touched_key from reached
),

final as (
    select touched_key from touched
)

select * from final
