"""The components of SQL verdicts, family by family."""

from rewards import sql_execution, sql_exploration, sql_length, sql_linking, sql_match, sql_similarity
from rewards.component import Component, ComponentOptions

COMPONENTS: dict[str, Component | type[ComponentOptions]] = {
    **sql_execution.COMPONENTS,
    **sql_match.COMPONENTS,
    **sql_linking.COMPONENTS,
    **sql_similarity.COMPONENTS,
    **sql_exploration.COMPONENTS,
    **sql_length.COMPONENTS,
}
