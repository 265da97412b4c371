// A forgotten password: asking for a link, and using it.
import { useState } from "preact/hooks";
import { ApiError, post, put } from "../../api/client";
import { go } from "../../lib/router";
import type { PageProps } from "../../routes";
import { email, newPassword } from "../../rules/fields";
import { Button, LinkButton } from "../../ui/basic";
import { PasswordField, TextField, useForm } from "../../ui/form";
import { PASSWORD_HINT } from "./account";
import { Gate, Refused, useInstance } from "./gate";

export function ResetPage(_: PageProps) {
  const instance = useInstance().data;
  const [asked, setAsked] = useState<string | null>(null);
  const form = useForm({
    initial: { email: "" },
    rules: { email },
    async submit({ email }) {
      await post("/api/password-resets", { body: { email: email.trim() } });
      setAsked(email.trim());
    },
  });
  if (instance && !instance.mail) {
    return (
      <Gate title="Reset your password">
        <div class="box">
          <h1>Reset your password</h1>
          <p class="mid">
            This server sends no mail. The operator can print a link with <code>zenovay user reset-link</code>. It works once, for one hour.
          </p>
          <LinkButton block href="/login">
            Back to sign-in
          </LinkButton>
        </div>
      </Gate>
    );
  }
  if (asked !== null) {
    return (
      <Gate title="Check your mail">
        <div class="box" role="status">
          <h1>Check your mail</h1>
          <p class="mid">If {asked} has an account, a link is on its way. It works once, for one hour.</p>
          <Button block onClick={() => setAsked(null)}>
            Use another address
          </Button>
          <LinkButton kind="quiet" block href="/login">
            Back to sign-in
          </LinkButton>
        </div>
      </Gate>
    );
  }
  return (
    <Gate title="Reset your password">
      <form class="box" {...form.props}>
        <div class="stack stack-4">
          <h1>Reset your password</h1>
          <p class="mid">A link to choose a new one comes by mail.</p>
        </div>
        <Refused error={form.failure} />
        <TextField {...form.bind("email")} label="E-mail" type="email" autocomplete="username" big autofocus />
        <Button type="submit" kind="primary" block pending={form.pending}>
          Send the link
        </Button>
        <LinkButton kind="quiet" block href="/login">
          Back to sign-in
        </LinkButton>
      </form>
    </Gate>
  );
}

export function NewPasswordPage({ params: { token = "" } }: PageProps) {
  const [ended, setEnded] = useState(false);
  const form = useForm({
    initial: { password: "" },
    rules: { password: newPassword },
    async submit({ password }) {
      try {
        await put("/api/password-resets/{token}", { path: { token }, body: { password } });
      } catch (error) {
        if (error instanceof ApiError && (error.status === 404 || error.status === 410)) return setEnded(true);
        throw error;
      }
      go("/login?changed", { replace: true });
    },
  });
  if (ended) {
    return (
      <Gate title="Reset your password">
        <div class="box" role="alert">
          <h1>This link has ended.</h1>
          <p class="mid">It works once, for one hour, and only until the next one is asked for.</p>
          <LinkButton kind="primary" block href="/reset">
            Ask for a new link
          </LinkButton>
        </div>
      </Gate>
    );
  }
  return (
    <Gate title="Choose a new password">
      <form class="box" {...form.props}>
        <div class="stack stack-4">
          <h1>Choose a new password</h1>
          <p class="mid">Every session of the account ends, and you sign in again.</p>
        </div>
        <Refused error={form.failure} />
        <PasswordField big {...form.bind("password")} label="New password" autocomplete="new-password" autofocus hint={PASSWORD_HINT} />
        <Button type="submit" kind="primary" block pending={form.pending}>
          Change password
        </Button>
      </form>
    </Gate>
  );
}
