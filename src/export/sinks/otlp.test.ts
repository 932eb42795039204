/**
 * Promises: what we send is an ExportLogsServiceRequest by OpenTelemetry's own protobuf definitions, whatever is in an event;
 * 64-bit numbers are strings and enumeration values numbers, as OTLP's JSON wants them; and what is not would be seen.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { otlpLogs } from "../../../test/support/otlp.ts";
import { records } from "../testing/events.ts";
import { outgoing } from "../testing/record.ts";
import { logsOf } from "./otlp.ts";

type Value = Record<string, string | number | boolean>;
interface Log {
  timeUnixNano: string;
  severityNumber: number;
  eventName: string;
  body: Value;
  attributes: { key: string; value: Value }[];
}

const logsIn = (request: object) =>
  (request as { resourceLogs: { scopeLogs: { logRecords: Log[] }[] }[] }).resourceLogs[0]!.scopeLogs[0]!.logRecords;

test("any record is read by OpenTelemetry's definitions as it was sent", () => {
  fc.assert(
    fc.property(fc.array(records, { minLength: 1, maxLength: 4 }), (batch) => {
      const logs = logsIn(otlpLogs(JSON.stringify(logsOf(batch, 1_777_885_960_000))));
      assert.equal(logs.length, batch.length);
      for (const [i, { event, line }] of batch.entries()) {
        const { timeUnixNano, severityNumber, eventName, body, attributes } = logs[i]!;
        assert.deepEqual(
          [timeUnixNano, eventName, body],
          ["1777885951204518000", `sallyport.${event.kind}`, { stringValue: line }],
        );
        assert.ok(severityNumber >= 1 && severityNumber <= 24);
        const facts = new Map(attributes.map(({ key, value }) => [key, value]));
        assert.equal(facts.size, attributes.length, "no key twice");
        assert.deepEqual(facts.get("sallyport.seq"), { intValue: String(event.seq) });
        assert.deepEqual(facts.get("log.record.uid"), { stringValue: event.id });
        assert.ok([...facts.values()].every((value) => Object.keys(value).length === 1));
      }
    }),
    { numRuns: 400 },
  );
});

test("a request that OTLP does not know is seen", () => {
  const text = JSON.stringify(logsOf([outgoing({ verdict: "deny" })], 1_777_885_960_000));
  assert.doesNotThrow(() => otlpLogs(text));
  for (const [from, to] of [
    ['"timeUnixNano":"1777885951204518000"', '"timeUnixNano":1777885951204518000'],
    ['"severityNumber":13', '"severityNumber":"SEVERITY_NUMBER_WARN"'],
    ['"severityNumber":13', '"severityNumber":"13"'],
    ['"logRecords"', '"log_records"'],
    ['"intValue":"7"', '"intValue":7'],
    ['"stringValue":"deny"', '"stringValue":5'],
    ['"eventName"', '"event"'],
    ['"body":{"stringValue"', '"body":{"string"'],
  ] as const) {
    assert.ok(text.includes(from), from);
    assert.throws(() => otlpLogs(text.replace(from, to)), Error, to);
  }
});
