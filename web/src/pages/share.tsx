// `/share/:token`: a dashboard for whoever has the link, to read and no more.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { ApiError, post } from "../api/client";
import { useData } from "../api/data";
import { Button, Empty, Failure, Skeleton } from "../ui/basic";
import { FormFailure, PasswordField, useForm } from "../ui/form";
import { Mark } from "../ui/icons";
import { useTitle } from "../shell/page";
import type { PageProps } from "../routes";
import { Dashboard } from "./analytics/dashboard";
import "../styles/gate.css";

export default function SharePage({ params }: PageProps) {
  const token = params.token ?? "";
  const { data, error, loading, reload } = useData("/api/shares/{token}", { path: { token } });
  useTitle(data?.website ? data.website.domain : "Shared dashboard");
  if (error) return <Gate>{error.status === 404 || error.status === 403 ? <Ended /> : <Failed error={error} onRetry={reload} />}</Gate>;
  if (!data) {
    return (
      <Gate>
        <h1 class="vh">Shared dashboard</h1>
        {loading && <Skeleton lines={4} />}
      </Gate>
    );
  }
  if (!data.website || data.needs_password) return <Unlock token={token} onDone={reload} />;
  const { website } = data;
  return (
    <Dashboard
      base={`/api/shares/${encodeURIComponent(token)}`}
      home={`/share/${encodeURIComponent(token)}`}
      domain={website.domain}
      zone={website.time_zone}
      lastEvent={website.last_event_at}
      shared
      frame={({ beside, actions, children }) => (
        <div class="page">
          <div class="bar dash shared">
            <span class="brand">
              <Mark />
            </span>
            <h1>{website.domain}</h1>
            {beside}
            <span class="grow" />
            {actions}
          </div>
          {children}
        </div>
      )}
    />
  );
}

function Gate({ children }: { children: ComponentChildren }) {
  return (
    <div class="gate">
      <div class="main-col">
        <span class="brand">
          <Mark />
          <span>zenovay</span>
        </span>
        <div class="card">{children}</div>
      </div>
    </div>
  );
}

const Failed = ({ error, onRetry }: { error: ApiError; onRetry(): void }) => (
  <div class="box">
    <h1>Shared dashboard</h1>
    <Failure error={error} what="The dashboard could not be loaded." onRetry={onRetry} />
  </div>
);

const Ended = () => (
  <Empty title="This link has ended" level={1} icon="link">
    This link does not show anything any more.
  </Empty>
);

function Unlock({ token, onDone }: { token: string; onDone(): void }) {
  const [wrong, setWrong] = useState<ApiError>();
  const form = useForm({
    initial: { password: "" },
    rules: { password: (value) => (value === "" ? "Write the password." : undefined) },
    async submit({ password }) {
      setWrong(undefined);
      try {
        await post("/api/shares/{token}/unlock", { path: { token }, body: { password } });
        onDone();
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (error.status === 401 || error.status === 403) form.setError("password", "That is not the password.");
        else setWrong(error);
      }
    },
  });
  return (
    <Gate>
      <form {...form.props}>
        <h1>This dashboard has a password</h1>
        <PasswordField big label="Password" autofocus {...form.bind("password")} />
        <FormFailure error={wrong ?? form.failure} />
        <Button kind="primary" type="submit" block pending={form.pending}>
          Show the dashboard
        </Button>
      </form>
    </Gate>
  );
}
