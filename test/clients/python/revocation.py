"""The story of python.test.ts about tokens that end before their time: the SDK's own client notices, signs in again, and goes on. Prints each chapter."""

import os
import sys

import requests
from azure.core.exceptions import ClientAuthenticationError

import strongroom

keys = strongroom.keys_of(sys.argv[1])
HOME = os.environ["STRONGROOM_RESOURCE_MANAGER"]
CLIENT = os.environ["AZURE_CLIENT_ID"]


def graph(method, path, body=None):
    """As an administrator: with a token of its own each time, since those that were there before end on the way."""
    form = {
        "grant_type": "password",
        "client_id": "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
        "username": os.environ["AZURE_USERNAME"],
        "password": os.environ["AZURE_PASSWORD"],
        "scope": f"{HOME}.default",
    }
    token = requests.post(f"{HOME}{os.environ['AZURE_TENANT_ID']}/oauth2/v2.0/token", data=form, timeout=60).json()["access_token"]
    answer = requests.request(method, f"{HOME}v1.0{path}", json=body, headers={"authorization": f"Bearer {token}"}, timeout=60)
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.content else None


print("a key is read with a token that is kept", flush=True)
keys.create_ec_key("kept-by-python")

print("the token ends, and the client goes on as if nothing had happened", flush=True)
principal = graph("GET", f"/servicePrincipals(appId='{CLIENT}')")["id"]
added = graph("POST", f"/servicePrincipals/{principal}/addPassword", {"passwordCredential": {"displayName": "leaked"}})
graph("POST", f"/servicePrincipals/{principal}/removePassword", {"keyId": added["keyId"]})
assert keys.get_key("kept-by-python").name == "kept-by-python"

print("a program that is disabled gets no further", flush=True)
graph("PATCH", f"/servicePrincipals/{principal}", {"accountEnabled": False})
try:
    keys.get_key("kept-by-python")
    raise AssertionError("this should have been refused")
except ClientAuthenticationError as reason:
    assert "AADSTS7000112" in str(reason), reason
print("the end", flush=True)
