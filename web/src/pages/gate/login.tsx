// Signing in: password, then a second factor where there is one; or a passkey alone.
import { useEffect, useState } from "preact/hooks";
import { ApiError, post } from "../../api/client";
import { forgetAll } from "../../api/data";
import { go, isOfServer, usePlace } from "../../lib/router";
import { loadSession, useEnded } from "../../lib/session";
import type { PageProps } from "../../routes";
import { email, normalCode, presentPassword, required, totpCode } from "../../rules/fields";
import { nextOf } from "../../rules/next";
import { hasPasskeys, usePasskey } from "../../rules/webauthn";
import { Button, LinkButton, Note } from "../../ui/basic";
import { PasswordField, TextField, useForm } from "../../ui/form";
import { Redirect } from "../parts/redirect";
import { Gate, Refused, useInstance } from "./gate";

/** The form stands in the place of a page that needs somebody, too: then that page is what comes next. */
const isInPlace = (): boolean => !location.pathname.startsWith("/login");
const nextPlace = (): string => (isInPlace() ? location.pathname + location.search : nextOf(location.search));

/** What was asked for stays known until somebody is signed in. */
const keepingNext = (path: string): string => {
  const next = nextPlace();
  return next === "/" ? path : `${path}${path.includes("?") ? "&" : "?"}next=${encodeURIComponent(next)}`;
};

/** What may follow the password, as the server said; not known after the page was loaded anew. */
let methods: readonly string[] | undefined;

async function enter(): Promise<void> {
  const next = nextPlace();
  forgetAll();
  await loadSession();
  // Such as the page on which a client asks.
  if (isOfServer(next.split("?")[0] ?? "")) location.replace(next);
  else go(next, { replace: true });
}

export function LoginPage(_: PageProps) {
  const instance = useInstance().data;
  const { search } = usePlace();
  const asked = new URLSearchParams(search);
  const ended = useEnded();
  const form = useForm({
    initial: { email: "", password: "" },
    rules: { email, password: presentPassword },
    async submit({ email, password }) {
      const answer = await post("/api/session", { body: { email: email.trim(), password } });
      methods = answer.methods ?? undefined;
      if (answer.state === "second_factor") go(keepingNext("/login/totp"));
      else await enter();
    },
  });
  // Whoever asks for this page may have the login that the first start printed.
  if (instance?.first_run && isInPlace()) return <Redirect to="/welcome" />;
  return (
    <Gate title="Sign in">
      <form class="box" {...form.props}>
        <h1>Sign in</h1>
        {instance?.first_run && <Note>This server is new: the link that it printed when it started makes it yours.</Note>}
        {ended && <Note>You were signed out. Sign in to go on where you were.</Note>}
        {asked.has("late") && <Note>That took longer than ten minutes. Sign in again.</Note>}
        {asked.has("changed") && <Note tone="ok">Your password is changed. Sign in with it.</Note>}
        <Refused error={form.failure} />
        <TextField label="E-mail" type="email" autocomplete="username" big autofocus {...form.bind("email")} />
        <PasswordField big label="Password" autocomplete="current-password" aside={<a href="/reset">Forgot it?</a>} {...form.bind("password")} />
        <Button type="submit" kind="primary" block pending={form.pending}>
          Sign in
        </Button>
        <PasskeyButton />
        {instance?.sign_up === "open" && (
          <p class="mid">
            New here? <a href="/signup">Create an account</a>
          </p>
        )}
      </form>
    </Gate>
  );
}

/** The first factor was too long ago, or nobody gave it: back to the beginning. */
async function secondFactor(send: () => Promise<unknown>): Promise<void> {
  try {
    await send();
  } catch (error) {
    if (error instanceof ApiError && error.reason === "sign_in_expired") return go(keepingNext("/login?late"), { replace: true });
    throw error;
  }
  await enter();
}

/** A passkey, which is enough by itself, or follows the password. Absent where there can be none. */
function PasskeyButton({ afterPassword = false }: { afterPassword?: boolean }) {
  const instance = useInstance().data;
  const [pending, setPending] = useState(false);
  const [failure, setFailure] = useState<ApiError>();
  const use = async (): Promise<void> => {
    const options = await post("/api/session/passkey/options", { body: { second_factor: afterPassword } });
    const credential = await usePasskey(options);
    if (credential === null) throw new ApiError(0, "GIVEN_UP", "No passkey was used. The browser asked, and nobody agreed.");
    await post("/api/session/passkey", { body: credential });
  };
  const start = async (): Promise<void> => {
    setPending(true);
    setFailure(undefined);
    try {
      await secondFactor(use);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setFailure(error);
    } finally {
      setPending(false);
    }
  };
  if (!instance?.passkeys || !hasPasskeys()) return null;
  return (
    <>
      <div class="or">or</div>
      <Refused error={failure} />
      <Button icon="key" block pending={pending} onClick={() => void start()}>
        Use a passkey
      </Button>
    </>
  );
}

export function TotpPage(_: PageProps) {
  const form = useForm({
    initial: { code: "" },
    rules: { code: totpCode },
    submit: ({ code }) => secondFactor(() => post("/api/session/totp", { body: { code } })),
  });
  const { code } = form.values;
  useEffect(() => {
    if (code.length === 6) void form.send();
  }, [code]);
  const field = form.bind("code");
  return (
    <Gate title="Enter your code">
      <form class="box" {...form.props}>
        <div class="stack stack-4">
          <h1>Enter your code</h1>
          <p class="mid">
            The six digits that your authenticator app shows for <b>{location.host}</b>.
          </p>
        </div>
        <Refused error={form.failure} />
        <TextField
          {...field}
          onValue={(value) => field.onValue(normalCode(value))}
          label="Code"
          otp
          inputMode="numeric"
          autocomplete="one-time-code"
          hint="Continues on its own after the sixth digit. Pasting works."
          autofocus
        />
        <Button type="submit" kind="primary" block pending={form.pending}>
          Continue
        </Button>
        {methods === undefined || methods.includes("passkey") ? <PasskeyButton afterPassword /> : null}
        <div class="row">
          <LinkButton kind="quiet" small href={keepingNext("/login/backup")}>
            Use a backup code
          </LinkButton>
          <span class="grow" />
          <LinkButton kind="quiet" small href={keepingNext("/login")}>
            Other account
          </LinkButton>
        </div>
      </form>
    </Gate>
  );
}

export function BackupPage(_: PageProps) {
  const form = useForm({
    initial: { code: "" },
    rules: { code: required("Write one of your backup codes.") },
    submit: ({ code }) => secondFactor(() => post("/api/session/backup", { body: { code: code.trim() } })),
  });
  return (
    <Gate title="Enter a backup code">
      <form class="box" {...form.props}>
        <div class="stack stack-4">
          <h1>Enter a backup code</h1>
          <p class="mid">One of the ten that you kept when you turned two-factor authentication on. Each works once.</p>
        </div>
        <Refused error={form.failure} />
        <TextField {...form.bind("code")} label="Backup code" mono big autofocus />
        <Button type="submit" kind="primary" block pending={form.pending}>
          Continue
        </Button>
        <div class="row">
          <LinkButton kind="quiet" small href={keepingNext("/login/totp")}>
            Use the app
          </LinkButton>
          <span class="grow" />
          <LinkButton kind="quiet" small href={keepingNext("/login")}>
            Other account
          </LinkButton>
        </div>
      </form>
    </Gate>
  );
}
