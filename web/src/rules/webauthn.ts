/** Passkeys: what the server sends as JSON and what browsers want as bytes, and back. */

const toBytes = (text: string): ArrayBuffer => {
  const binary = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(binary, (letter) => letter.charCodeAt(0)).buffer;
};

const toText = (bytes: ArrayBuffer): string =>
  btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=+$/, "");

/** Options as JSON, with bytes as base64url. */
interface Descriptor {
  readonly id: string;
  readonly type: "public-key";
  readonly transports?: AuthenticatorTransport[];
}

export interface CreationJson {
  readonly publicKey: Omit<PublicKeyCredentialCreationOptions, "challenge" | "user" | "excludeCredentials"> & {
    readonly challenge: string;
    readonly user: { readonly id: string; readonly name: string; readonly displayName: string };
    readonly excludeCredentials?: readonly Descriptor[];
  };
}

export interface RequestJson {
  readonly publicKey: Omit<PublicKeyCredentialRequestOptions, "challenge" | "allowCredentials"> & {
    readonly challenge: string;
    readonly allowCredentials?: readonly Descriptor[];
  };
}

const descriptors = (list: readonly Descriptor[] | undefined): PublicKeyCredentialDescriptor[] => (list ?? []).map((one) => ({ ...one, id: toBytes(one.id) }));

/** Whether this browser has passkeys at all. */
export const hasPasskeys = (): boolean => typeof PublicKeyCredential === "function" && "credentials" in navigator;

/** Makes a passkey. `null` when the person gave up. */
export async function createPasskey({ publicKey }: CreationJson): Promise<object | null> {
  const made = await navigator.credentials
    .create({
      publicKey: {
        ...publicKey,
        challenge: toBytes(publicKey.challenge),
        user: { ...publicKey.user, id: toBytes(publicKey.user.id) },
        excludeCredentials: descriptors(publicKey.excludeCredentials),
      },
    })
    .catch(givenUp);
  if (!(made instanceof PublicKeyCredential)) return null;
  const response = made.response as AuthenticatorAttestationResponse;
  return {
    id: made.id,
    rawId: toText(made.rawId),
    type: made.type,
    extensions: made.getClientExtensionResults(),
    response: {
      attestationObject: toText(response.attestationObject),
      clientDataJSON: toText(response.clientDataJSON),
      transports: response.getTransports(),
    },
  };
}

/** Signs in with a passkey. `null` when the person gave up. */
export async function usePasskey({ publicKey }: RequestJson): Promise<object | null> {
  const got = await navigator.credentials
    .get({ publicKey: { ...publicKey, challenge: toBytes(publicKey.challenge), allowCredentials: descriptors(publicKey.allowCredentials) } })
    .catch(givenUp);
  if (!(got instanceof PublicKeyCredential)) return null;
  const response = got.response as AuthenticatorAssertionResponse;
  return {
    id: got.id,
    rawId: toText(got.rawId),
    type: got.type,
    extensions: got.getClientExtensionResults(),
    response: {
      authenticatorData: toText(response.authenticatorData),
      clientDataJSON: toText(response.clientDataJSON),
      signature: toText(response.signature),
      userHandle: response.userHandle === null ? null : toText(response.userHandle),
    },
  };
}

/** Closing the window of the browser is no failure. */
function givenUp(error: unknown): null {
  if (error instanceof DOMException && (error.name === "NotAllowedError" || error.name === "AbortError")) return null;
  throw error;
}
