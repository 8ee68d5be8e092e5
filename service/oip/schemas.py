"""What the service says in the protocol, for the API's description and for tests."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Parameter = str | bool | int | float
Datatype = Literal["BOOL", "BYTES", "FP32", "FP64", "INT64", "UINT8"]


class _Told(BaseModel):
    # The protocol's own names begin with `model_`.
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class OipError(_Told):
    """What went wrong: what came, what was wanted, and the request's id."""

    error: str


class Live(_Told):
    """The process is alive."""

    live: bool


class Ready(_Told):
    """The service wants traffic."""

    ready: bool


class ModelReady(Ready):
    """The model can be asked."""

    name: str


class ServerMetadata(_Told):
    """Which server this is, and which extensions of the protocol it speaks."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(_Told):
    """A tensor that is taken or told; a dimension of -1 is free."""

    name: str
    datatype: Datatype
    shape: list[int]


class ModelMetadata(_Told):
    """A model's versions, the newest first, and the tensors of the one that was asked for."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class OutputTensor(TensorMetadata):
    """An output; its bytes come behind the JSON where it has `binary_data_size` and no data.

    A number is null where the model gave NaN or infinity.
    """

    data: list[float | int | bool | str | None] | None = None
    parameters: dict[str, Parameter] | None = None


class InferResponse(_Told):
    """What was found. `parameters` say by which bundle and under which policy."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: dict[str, Parameter]
    outputs: list[OutputTensor]
