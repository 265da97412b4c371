// The link that `zenovay demo` prints: it signs in, once, and shows what there is.
import { useEffect, useState } from "preact/hooks";
import { ApiError, post } from "../../api/client";
import { forgetAll } from "../../api/data";
import { go } from "../../lib/router";
import { loadSession } from "../../lib/session";
import type { PageProps } from "../../routes";
import { Gate, Refused } from "./gate";

export default function DemoPage(_: PageProps) {
  const [error, setError] = useState<ApiError>();
  useEffect(() => {
    const token = location.hash.replace(/^#/, "");
    // It is of no use to whoever reads the history.
    history.replaceState(history.state, "", location.pathname);
    post("/api/session/link", { body: { token } })
      .then(async () => {
        forgetAll();
        await loadSession();
        go("/websites", { replace: true });
      })
      .catch((refused: unknown) => refused instanceof ApiError && setError(refused));
  }, []);
  return (
    <Gate title="Demo">
      <div class="box">
        <h1>Demo</h1>
        {error === undefined ? (
          <p role="status">Signing in…</p>
        ) : (
          <>
            <Refused error={error} />
            <p>
              The terminal also has a login and a password for <a href="/login">signing in</a>.
            </p>
          </>
        )}
      </div>
    </Gate>
  );
}
