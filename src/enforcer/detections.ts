/**
 * Judged names into detections of the record (`docs/detections.md`): DNS judgements (`judged-in-dns.ts`), SNI and Host names
 * as the data path's threads tell them. Refuses nothing.
 */
import { type Address, formatAddress } from "../address/ip.ts";
import { formatSender, senderOf } from "../address/sender.ts";
import { formatTime } from "../audit/clock.ts";
import type { EventBody, EventProcess } from "../audit/event.ts";
import type { ShownName } from "../datapath/messages.ts";
import { type NameAlert, type NameAlertType, NameDetector, nameThresholds } from "../detect/names.ts";
import { AskersOfDomains } from "./askers-of-domains.ts";
import { Signs } from "./signs.ts";

export interface DetectionsOptions {
  /** The policy's name for a source. */
  group: (source: Address) => string | null;
  /** The firewall stands on the machine that asks. */
  onMachine: () => boolean;
  record: (event: EventBody) => void;
}

export class Detections {
  readonly #options: DetectionsOptions;
  readonly #names = new NameDetector();
  readonly #askers = new AskersOfDomains();
  readonly #signs: Signs;

  constructor(options: DetectionsOptions) {
    this.#options = options;
    this.#signs = new Signs(options);
  }

  /** Any event as it is recorded. */
  single(event: EventBody, now: number): void {
    this.#signs.see(event, now);
  }

  names(names: readonly ShownName[], now: number): void {
    for (const name of names) {
      if (name.process !== null) this.#askers.see(name.name, name.process);
      this.#record(this.#names.see(name, now), name.process);
    }
  }

  /** Says what followed on alerts whose window has closed. Call it about once a second; with Infinity at the end. */
  tick(now: number): void {
    this.#signs.tick(now);
    this.#record(this.#names.tick(now));
  }

  #record(alerts: readonly NameAlert[], process: EventProcess | null = null): void {
    for (const alert of alerts) {
      const event = detectionEvent(alert, this.#options.group);
      const askers = alert.domain === null ? [] : this.#askers.of(alert.domain);
      if (process !== null) event.process = process;
      if (askers.length > 0) Object.assign(event.detection!, { askers });
      this.#options.record(event);
    }
  }
}

const what: Readonly<Record<NameAlertType, string>> = {
  denied_names: "many distinct names that the policy denies",
  name_entropy: "names that look like encoded data",
  name_budget: "the DNS budget of names is spent",
};

const protocols = { dns: "dns", sni: "tls", host: "http" } as const;

function detectionEvent(alert: NameAlert, group: DetectionsOptions["group"]): EventBody {
  const { type, source, domain, more } = alert;
  const channel = alert.channels.at(-1) ?? "dns";
  return {
    kind: "detection",
    ...(source === null ? {} : { source: { ip: formatAddress(source), group: group(source) } }),
    destination: { name: domain, name_from: channel, protocol: protocols[channel] },
    detection: {
      type,
      domain,
      sender: source === null ? null : formatSender(senderOf(source)),
      channels: alert.channels,
      names: alert.names,
      denied: alert.denied,
      bytes: alert.bytes,
      approximate: alert.approximate,
      per_minute: alert.perMinute,
      examples: alert.examples,
      window_s: nameThresholds.window / 1000,
    },
    ...(more === null
      ? {}
      : { count: more.count, first: formatTime(more.first * 1000), last: formatTime(more.last * 1000) }),
    message: `${what[type]}: ${domain ?? "many domains"}, from ${source === null ? "many sources" : formatAddress(source)}`,
  };
}
