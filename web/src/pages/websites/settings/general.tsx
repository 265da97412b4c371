// What a website is called, and where its days begin.
import { currency, domain, normalDomain, websiteName } from "../../../rules/fields";
import { Button, Card } from "../../../ui/basic";
import { FormFailure, Select, TextField, useForm } from "../../../ui/form";
import { zoneOptions } from "../../parts/zones";
import { save, type PartProps } from "./save";

const ZONE_HINT = "Days of this website begin at midnight there.";

export function GeneralSettings({ website, mayChange }: PartProps) {
  const form = useForm({
    initial: { name: website.name, domain: website.domain, time_zone: website.settings.time_zone, currency: website.settings.currency },
    rules: { name: websiteName, domain, currency },
    submit: ({ name, domain, time_zone, currency }) =>
      save(website, { name: name.trim(), domain: normalDomain(domain), time_zone, currency: currency.trim().toUpperCase() }),
  });
  return (
    <form {...form.props}>
      <Card
        title="General"
        foot={
          mayChange ? (
            <>
              <span class="grow" />
              <Button type="submit" kind="primary" pending={form.pending}>
                Save
              </Button>
            </>
          ) : undefined
        }
      >
        <TextField {...form.bind("name")} label="Name" hint="Shown in lists and on the dashboard." readOnly={!mayChange} />
        <TextField {...form.bind("domain")} label="Domain" inputMode="url" hint="Its subdomains count, too. More hosts are under Tracking." readOnly={!mayChange} />
        {mayChange ? (
          <Select {...form.bind("time_zone")} label="Time zone" options={zoneOptions(form.values.time_zone)} hint={ZONE_HINT} />
        ) : (
          <TextField {...form.bind("time_zone")} label="Time zone" hint={ZONE_HINT} readOnly />
        )}
        <TextField {...form.bind("currency")} label="Currency" maxLength={3} hint="Three letters, such as EUR. Revenue is shown in it." readOnly={!mayChange} />
        <FormFailure error={form.failure} />
      </Card>
    </form>
  );
}
