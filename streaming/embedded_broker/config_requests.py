"""Configurations of topics: DescribeConfigs and IncrementalAlterConfigs."""

from __future__ import annotations

from typing import Any

from kafka import errors as kafka_errors
from kafka.protocol.admin import DescribeConfigsResponse, IncrementalAlterConfigsResponse

from .state import BrokerState, Caller
from .topic_config import check_topic_name

_TOPIC = 2
_SET, _DELETE = 0, 1

_Result = DescribeConfigsResponse.DescribeConfigsResult
_Entry = _Result.DescribeConfigsResourceResult


async def describe_configs(state: BrokerState, request: Any, caller: Caller) -> Any:
    return DescribeConfigsResponse(
        results=[
            _describe(state, resource, bool(request.include_synonyms))
            for resource in request.resources
        ]
    )


def _describe(state: BrokerState, resource: Any, with_synonyms: bool) -> Any:
    result = {"resource_type": resource.resource_type, "resource_name": resource.resource_name}
    try:
        _require_topic(resource)
        check_topic_name(resource.resource_name)
        topic = state.topics.get(resource.resource_name)
    except kafka_errors.BrokerResponseError as error:
        return _Result(
            **result, error_code=error.errno, error_message=str(error.args[0]), configs=[]
        )
    entries = []
    for entry in topic.config.describe(resource.configuration_keys):
        synonyms = []
        if with_synonyms:
            synonyms.append(
                _Entry.DescribeConfigsSynonym(
                    name=entry["name"], value=entry["value"], source=entry["config_source"]
                )
            )
        entries.append(_Entry(**entry, read_only=False, is_sensitive=False, synonyms=synonyms))
    return _Result(**result, error_code=0, error_message=None, configs=entries)


async def incremental_alter_configs(state: BrokerState, request: Any, caller: Caller) -> Any:
    responses = []
    for resource in request.resources:
        code, message = 0, None
        try:
            _require_topic(resource)
            check_topic_name(resource.resource_name)
            config = state.topics.get(resource.resource_name).config
            changes: dict[str, str | None] = {}
            for change in resource.configs:
                if change.config_operation not in (_SET, _DELETE):
                    raise kafka_errors.InvalidRequestError("Only SET and DELETE are known here")
                is_set = change.config_operation == _SET
                if is_set and change.value is None:
                    raise kafka_errors.InvalidRequestError(
                        f"Null value not supported for : {change.name}"
                    )
                changes[change.name] = change.value if is_set else None
            if not request.validate_only:
                config.update(changes)
                state.topics.enforce_retention()
        except kafka_errors.BrokerResponseError as error:
            code, message = error.errno, str(error.args[0])
        responses.append(
            IncrementalAlterConfigsResponse.AlterConfigsResourceResponse(
                error_code=code,
                error_message=message,
                resource_type=resource.resource_type,
                resource_name=resource.resource_name,
            )
        )
    return IncrementalAlterConfigsResponse(responses=responses)


def _require_topic(resource: Any) -> None:
    if resource.resource_type != _TOPIC:
        raise kafka_errors.InvalidRequestError(
            "The embedded broker has configurations of topics only"
        )
