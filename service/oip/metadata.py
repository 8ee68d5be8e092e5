"""What a client may ask before it infers: which server, which models, which tensors."""

from service.answers import Detail
from service.deployments.catalog import Catalog
from service.deployments.deployment import Deployment
from service.oip import tensors
from service.oip.outputs import offered
from service.oip.schemas import ModelMetadata, ServerMetadata, TensorMetadata

NAME = "ood-guard"
EXTENSIONS = ("binary_tensor_data",)
PLATFORM = "onnx_onnxv1"
FREE = -1


def server_metadata(version: str) -> ServerMetadata:
    """Which server this is."""
    return ServerMetadata(name=NAME, version=version, extensions=list(EXTENSIONS))


def model_metadata(catalog: Catalog, deployment: Deployment, detail: Detail) -> ModelMetadata:
    """What one version of a model takes and tells, and which other versions there are."""
    spec = deployment.model.bundle.manifest.input
    images = TensorMetadata(
        name=tensors.NAME,
        datatype=tensors.DATATYPE,
        shape=[FREE, spec.height, spec.width, tensors.CHANNELS],
    )
    return ModelMetadata(
        name=deployment.name,
        versions=[each.version for each in catalog.deployments() if each.name == deployment.name],
        platform=PLATFORM,
        inputs=[images],
        outputs=[
            TensorMetadata(name=name, datatype=output.datatype, shape=output.shape(FREE))
            for name, output in offered(deployment.model, detail).items()
        ],
    )
