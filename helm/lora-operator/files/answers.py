"""Asks a served adapter for an answer, as an OpenAI client would; exit status 0 only if that adapter gave one."""

import json
import os
import sys
import urllib.error
import urllib.request

model, adapter = os.environ["MODEL"], os.environ["ADAPTER"]
prefix = model.upper().replace("-", "_")
# Where the kubelet says that the Service is; without that, where DNS does.
address = f"{os.environ.get(f'{prefix}_SERVICE_HOST', model)}:{os.environ.get(f'{prefix}_SERVICE_PORT', '8000')}"
keys = os.environ.get("API_KEYS", "").split()
question = {"model": adapter, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 16}
request = urllib.request.Request(
    f"http://{address}/v1/chat/completions",
    data=json.dumps(question).encode(),
    headers={"Content-Type": "application/json"} | ({"Authorization": f"Bearer {keys[0]}"} if keys else {}),
)
try:
    with urllib.request.urlopen(request, timeout=120) as response:
        answer = json.load(response)
except urllib.error.HTTPError as error:
    sys.exit(f"{adapter}: {error.status} {error.read().decode()}")
except OSError as error:
    sys.exit(f"no LoRAModel {model} answers at {address} in this namespace: {error}")
if answer["model"] != adapter:
    sys.exit(f"asked {adapter}, answered by {answer['model']}")
print(f"{answer['model']}: {answer['choices'][0]['message']['content']}")
