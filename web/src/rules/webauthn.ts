/** Passkeys: what the server sends as JSON and what browsers want as bytes, and back. */
import { ApiError, type Answer } from "../api/client";

const toBytes = (text: string): ArrayBuffer => {
  const binary = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(binary, (letter) => letter.charCodeAt(0)).buffer;
};

const toText = (bytes: ArrayBuffer): string =>
  btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=+$/, "");

const descriptors = (list: readonly { readonly id: string }[]): PublicKeyCredentialDescriptor[] => list.map(({ id }) => ({ type: "public-key", id: toBytes(id) }));

/** Whether this browser has passkeys at all, and the page has a name that they can be for: an address of numbers is none. */
export const hasPasskeys = (): boolean => typeof PublicKeyCredential === "function" && "credentials" in navigator && !/^[\d.]+$|^\[/.test(location.hostname);

/** Makes a passkey. `null` when the person gave up. */
export async function createPasskey({ publicKey }: Answer<"/api/account/passkeys/options", "post">) {
  const made = await navigator.credentials
    .create({
      publicKey: {
        ...(publicKey as unknown as PublicKeyCredentialCreationOptions),
        challenge: toBytes(publicKey.challenge),
        user: { ...publicKey.user, id: toBytes(publicKey.user.id) },
        excludeCredentials: descriptors(publicKey.excludeCredentials),
      },
    })
    .catch(refused);
  if (!(made instanceof PublicKeyCredential)) return null;
  const response = made.response as AuthenticatorAttestationResponse;
  return {
    id: made.id,
    rawId: toText(made.rawId),
    type: made.type,
    response: { attestationObject: toText(response.attestationObject), clientDataJSON: toText(response.clientDataJSON) },
  };
}

/** Signs in with a passkey. `null` when the person gave up. */
export async function usePasskey({ publicKey }: Answer<"/api/session/passkey/options", "post">) {
  const got = await navigator.credentials
    .get({
      publicKey: {
        ...(publicKey as unknown as PublicKeyCredentialRequestOptions),
        challenge: toBytes(publicKey.challenge),
        allowCredentials: descriptors(publicKey.allowCredentials),
      },
    })
    .catch(refused);
  if (!(got instanceof PublicKeyCredential)) return null;
  const response = got.response as AuthenticatorAssertionResponse;
  return {
    id: got.id,
    rawId: toText(got.rawId),
    type: got.type,
    response: {
      authenticatorData: toText(response.authenticatorData),
      clientDataJSON: toText(response.clientDataJSON),
      signature: toText(response.signature),
      userHandle: response.userHandle === null ? null : toText(response.userHandle),
    },
  };
}

/** Closing the window of the browser is no failure; what else browsers refuse is told in words that help. */
function refused(error: unknown): null {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" || name === "AbortError") return null;
  if (name === "InvalidStateError") throw new ApiError(0, name, "This device has a passkey of this account already.");
  if (name === "SecurityError") throw new ApiError(0, name, "Passkeys work at the public address of this server alone, and this page is at another one.");
  throw error;
}
