// What is known of a visitor.
import { Card } from "../../../ui/basic";
import { FormFailure, Switch } from "../../../ui/form";
import { useSwitches, type PartProps } from "./save";

export function PrivacySettings({ website, mayChange }: PartProps) {
  const switches = useSwitches(website);
  return (
    <Card title="Privacy" foot="Addresses of visitors are never stored.">
      <Switch
        label="Zero Client-Side Storage Mode"
        hint="Stores nothing in the browser, whatever its pages say. Visitors are told apart by a hash that changes every day."
        {...switches.bind("cookieless", website.settings.cookieless)}
        disabled={!mayChange}
      />
      <Switch
        label="Drop visits with Global Privacy Control or Do Not Track"
        hint="Off: they are counted, without a visitor id, a language or an identity."
        {...switches.bind("opt_out_on_gpc", website.settings.opt_out_on_gpc)}
        disabled={!mayChange}
      />
      <FormFailure error={switches.failure} />
    </Card>
  );
}
