{# The sentence that a customer may read below a recommendation; an unknown code is read out. #}
{% macro recommendation_reason(reason_code, anchor_item_id, anchor_name, category) -%}
    case
        when {{ reason_code }} = 'because_you_viewed' and {{ anchor_item_id }} is not null
            then concat('because you viewed ', {{ anchor_name }})
        when {{ reason_code }} = 'because_you_bought' and {{ anchor_item_id }} is not null
            then concat('because you bought ', {{ anchor_name }})
        when {{ reason_code }} = 'viewed_before' then 'because you viewed it before'
        when {{ reason_code }} = 'buy_again' then 'because you bought it before'
        when {{ reason_code }} = 'popular_in_category' and {{ category }} is not null
            then concat('popular in ', {{ category }})
        when {{ reason_code }} in ('popular', 'popular_in_category') then 'popular this month'
        else replace({{ reason_code }}, '_', ' ')
    end
{%- endmacro %}
