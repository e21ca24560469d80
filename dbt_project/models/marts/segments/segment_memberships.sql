with rule_segments as (
    select * from {{ ref('stg_ml_segments') }}
),

rule_members as (
    select * from {{ ref('stg_ml_segment_memberships') }}
),

-- Clusters stand at the date on which their model was trained, which may lie before that of an assignment.
clusters as (
    select
        cluster_id,
        model_version,
        arg_max(cluster_name, as_of_date) as cluster_name
    from {{ ref('stg_ml_clusters') }}
    group by cluster_id, model_version
),

cluster_members as (
    select * from {{ ref('stg_ml_customer_clusters') }}
),

features as (
    select * from {{ ref('ftr_customer_features') }} where rfm_segment is not null
),

-- One name a segment, though the seed may list its score ranges in several rows.
rfm_segments as (
    select
        rfm_segment,
        min(segment_name) as segment_name
    from {{ ref('rfm_segments') }}
    group by rfm_segment
),

-- Days on which each kind was looked at. Features also hold training cut-offs, which say nothing about membership.
scoring_days as (
    select as_of_date from rule_segments
    union
    select as_of_date from cluster_members
),

evaluations as (
    select distinct
        'rule' as kind,
        as_of_date
    from rule_segments
    union all
    select
        kinds.kind,
        scoring_days.as_of_date
    from scoring_days
    cross join (values ('cluster'), ('rfm')) as kinds (kind)
),

numbered as (
    select
        kind,
        as_of_date,
        row_number() over (partition by kind order by as_of_date) as evaluation,
        lead(as_of_date) over (partition by kind order by as_of_date) as next_as_of_date
    from evaluations
),

members as (
    select
        'rule' as kind,
        rule_members.customer_id,
        rule_members.segment_id,
        rule_segments.segment_name,
        rule_members.rule_version,
        rule_members.reason,
        '' as meaning,
        rule_members.as_of_date
    from rule_members
    inner join rule_segments using (segment_id, as_of_date)
    union all
    select
        'cluster' as kind,
        cluster_members.customer_id,
        cluster_members.cluster_id as segment_id,
        clusters.cluster_name as segment_name,
        cast(null as varchar) as rule_version,
        concat('behaves most like "', clusters.cluster_name, '"') as reason,
        -- A model that was trained anew may give an id to another group: its name tells.
        clusters.cluster_name as meaning,
        cluster_members.as_of_date
    from cluster_members
    inner join clusters using (cluster_id, model_version)
    union all
    select
        'rfm' as kind,
        features.customer_id,
        concat('rfm_', features.rfm_segment) as segment_id,
        rfm_segments.segment_name,
        cast(null as varchar) as rule_version,
        concat(
            'recency ', features.recency_score, ', frequency ', features.frequency_score,
            ', value ', features.monetary_score, ' of 5'
        ) as reason,
        '' as meaning,
        features.as_of_date
    from features
    inner join rfm_segments using (rfm_segment)
),

-- In an unbroken row of evaluations the difference of the two numbers stays the same.
islands as (
    select
        members.*,
        numbered.next_as_of_date,
        numbered.evaluation - row_number() over (
            partition by members.kind, members.customer_id, members.segment_id, members.meaning
            order by members.as_of_date
        ) as island
    from members
    inner join numbered using (kind, as_of_date)
),

final as (
    select
        customer_id,
        segment_id,
        arg_max(segment_name, as_of_date) as segment_name,
        kind,
        arg_max(rule_version, as_of_date) as rule_version,
        min(as_of_date) as valid_from,
        -- Null while the last evaluation still found the customer there: max alone would skip that null.
        case when bool_and(next_as_of_date is not null) then max(next_as_of_date) end as valid_to,
        arg_max(reason, as_of_date) as reason
    from islands
    group by customer_id, segment_id, kind, meaning, island
)

select * from final
order by kind, segment_id, customer_id, valid_from
