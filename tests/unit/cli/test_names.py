"""A name leads to one object and to nothing else."""

from unittest.mock import Mock

import pytest

from lora_api.error_codes import ErrorCode
from lora_cli.clients.kube import Kube
from lora_cli.clients.objects import ADAPTERS, Objects
from lora_cli.errors import Failed


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_what_is_no_name_never_means_all_objects(name: str) -> None:
    kube = Mock(spec=Kube, namespace="team")
    with pytest.raises(Failed) as caught:
        Objects(kube).delete(ADAPTERS, name)
    assert caught.value.code is ErrorCode.INVALID
    kube.request.assert_not_called()
