"""The operators of the plain DAG files, as text: they hold what they need to know, and do nothing."""

OPERATORS = '''\
"""Operators as a team without Lockstep would write them: what they need to know, and which of it is a template."""

from airflow.sdk import BaseOperator, BaseSensorOperator


class Snapshot(BaseOperator):
    template_fields = ("models", "engine")
    ui_color = "#e0f2fe"

    def __init__(self, *, dataset, works_for, models, engine, registry=None, **kwargs):
        super().__init__(**kwargs)
        self.dataset, self.works_for, self.models = dataset, works_for, models
        self.engine, self.registry = engine, registry


class Train(BaseOperator):
    template_fields = ("models", "snapshot", "upstream", "parameters", "force", "where")
    ui_color = "#e0f2fe"

    def __init__(self, *, model, models, snapshot, upstream, parameters, force, where, registry=None, **kwargs):
        super().__init__(**kwargs)
        self.model, self.models, self.snapshot, self.registry = model, models, snapshot, registry
        self.upstream, self.parameters, self.force, self.where = upstream, parameters, force, where


class Tune(BaseOperator):
    template_fields = ("model_digest",)
    ui_color = "#e0f2fe"

    def __init__(self, *, threshold, model_digest, registry=None, **kwargs):
        super().__init__(**kwargs)
        self.threshold, self.model_digest, self.registry = threshold, model_digest, registry


class Promote(BaseOperator):
    template_fields = ("version", "wanted")
    ui_color = "#e0f2fe"

    def __init__(self, *, members, version, wanted="true", registry=None, **kwargs):
        super().__init__(**kwargs)
        self.members, self.version, self.wanted, self.registry = members, version, wanted, registry


class Gate(BaseSensorOperator):
    ui_color = "#fef9c3"

    def __init__(self, *, members, registry=None, **kwargs):
        super().__init__(**kwargs)
        self.members, self.registry = members, registry


class Diff(BaseOperator):
    ui_color = "#e0f2fe"

    def __init__(self, *, members, registry=None, **kwargs):
        super().__init__(**kwargs)
        self.members, self.registry = members, registry


class Release(BaseOperator):
    ui_color = "#e0f2fe"

    def __init__(self, *, members, registry=None, **kwargs):
        super().__init__(**kwargs)
        self.members, self.registry = members, registry


class Rollback(BaseOperator):
    template_fields = ("to",)
    ui_color = "#e0f2fe"

    def __init__(self, *, to, registry=None, **kwargs):
        super().__init__(**kwargs)
        self.to, self.registry = to, registry


class Hold(BaseOperator):
    ui_color = "#e0f2fe"

    def __init__(self, *, registry=None, **kwargs):
        super().__init__(**kwargs)
        self.registry = registry


class Resume(BaseOperator):
    ui_color = "#e0f2fe"

    def __init__(self, *, registry=None, **kwargs):
        super().__init__(**kwargs)
        self.registry = registry
'''
