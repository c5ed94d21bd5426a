"""``GET /v1/models``: what may be asked for by name, and the names that it goes by."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from asr import model_name
from serving.auth import require
from serving.documented import refusals
from serving.keys import Scope
from serving.openai.parameters import no_such_model
from serving.services import Services, Shared

OWNER = "voicesearch"

router = APIRouter(prefix="/v1/models", tags=["models"], dependencies=[Depends(require(Scope.TRANSCRIBE))])


class Model(BaseModel):
    """A model, as OpenAI describes one; ``identity`` (name and digest) and ``language`` are ours."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = OWNER
    identity: str
    language: str


class ModelList(BaseModel):
    """All names."""

    object: Literal["list"] = "list"
    data: list[Model]


def names(services: Services) -> tuple[str, ...]:
    """What clients may call the model: its own name, the operator's aliases, its name with its digest."""
    info = services.engine.info
    return (info.name, *services.settings.model_aliases, info.identity)


@router.get("", responses=refusals(401, 403))
async def models(services: Shared) -> ModelList:
    """The models that this server has."""
    return ModelList(data=[_model(name, services) for name in names(services)])


@router.get("/{model:path}", responses=refusals(401, 403, 404))
async def model(model: str, services: Shared) -> Model:
    """One of them, by any of its names."""
    if model not in names(services):
        raise no_such_model(model)
    return _model(model, services)


def _model(name: str, services: Services) -> Model:
    info = services.engine.info
    created = int(model_name.files(services.settings.model)[0].stat().st_mtime)
    return Model(id=name, created=created, identity=info.identity, language=info.language)
