import { useState } from "preact/hooks";
import { ApiError } from "../../api/client";

/** Changes that are sent at once, and why the last one failed. */
export function useSaver<Changes>(send: (changes: Changes) => Promise<void>) {
  const [failure, setFailure] = useState<ApiError>();
  const save = async (changes: Changes): Promise<void> => {
    setFailure(undefined);
    try {
      await send(changes);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setFailure(error);
    }
  };
  return { failure, save };
}
