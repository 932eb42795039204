/** The page for people: what is generated follows the traffic, what people wrote stays. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Event } from "../audit/event.ts";
import { SallyportError } from "../errors.ts";
import { driftOf, renderPage } from "./page.ts";
import { propose } from "./propose.ts";
import { type BaselineReport, baselineReport } from "./report.ts";
import { aim, connection, evidenceOf, plain } from "./testing/events.ts";

function reportOf(events: readonly Event[]): BaselineReport {
  const evidence = evidenceOf(events);
  return baselineReport(evidence, propose(evidence, plain), aim, 0);
}

const some = [
  connection({ name: "pypi.org", group: "python" }),
  connection({ name: "a.example", group: "python", at: 1 }),
];
const more = [...some, connection({ name: "new.example", group: "python", at: 90_000 })];
const rowOf = (page: string, endpoint: string) => page.split("\n").find((line) => line.includes(`\`${endpoint}\``))!;
const withWhy = (page: string, endpoint: string, why: string) => {
  const row = rowOf(page, endpoint);
  return page.replace(row, row.replace(/\|[^|]*\|$/, `| ${why} |`));
};

describe("the page", () => {
  test("is made anew with an opening, and the same again for the same traffic", () => {
    const page = renderPage(reportOf(some), null);
    assert.match(page, /^# Egress allowlist\n/);
    assert.match(
      rowOf(page, "pypi.org"),
      /\| tls \| `10\.20\.1\.7` \| 1 of 1 \| 1 \| 2026-05-01 \| 2026-05-01 \| {2}\|$/,
    );
    assert.equal(renderPage(reportOf(some), page), page);
  });

  test("keeps what stands around the markers to the byte", () => {
    const page = renderPage(reportOf(some), null);
    const around = page
      .replace(/^[\s\S]*?(?=<!-- sallyport:begin)/, "# Ours\r\n\n\tnotes  \n")
      .replace(/\n$/, "\n\nThe end\n\n");
    const again = renderPage(reportOf(more), around);
    assert.ok(again.startsWith("# Ours\r\n\n\tnotes  \n<!-- sallyport:begin"));
    assert.ok(again.endsWith("<!-- sallyport:end -->\n\nThe end\n\n"));
    assert.ok(rowOf(again, "new.example") !== undefined);
  });

  test("keeps reasons with their endpoints, also where a formatter padded the table or a reason has a bar in it", () => {
    let page = withWhy(renderPage(reportOf(some), null), "pypi.org", "installs packages");
    page = withWhy(page, "a.example", "asked \\| answered");
    const padded = page.replaceAll(" | tls | ", " | tls      | ").replaceAll("|---|---|", "| --- | :-: |");
    for (const each of [page, padded]) {
      const again = renderPage(reportOf(more), each);
      assert.match(rowOf(again, "pypi.org"), /\| installs packages \|$/);
      assert.match(rowOf(again, "a.example"), /\| asked \\\| answered \|$/);
      assert.match(rowOf(again, "new.example"), /\| {2}\|$/);
    }
    const barred = withWhy(page, "pypi.org", "a").replace("| a |", "| a | b |");
    assert.match(rowOf(renderPage(reportOf(some), barred), "pypi.org"), /\| a \| b \|$/);
  });

  test("keeps reasons where the file's lines end as on Windows, and ends its own lines so", () => {
    const page = withWhy(renderPage(reportOf(some), null), "pypi.org", "installs packages").replaceAll("\n", "\r\n");
    const again = renderPage(reportOf(more), page);
    assert.match(rowOf(again, "pypi.org"), /\| installs packages \|\r$/);
    assert.doesNotMatch(again, /[^\r]\n/);
    assert.deepEqual(driftOf(reportOf(some), page), []);
    assert.equal(renderPage(reportOf(some), page), page);
  });

  test("keeps both reasons of an endpoint that stands in two tables, and loses neither with its row", () => {
    const good = connection({ name: "a.example", port: 8443, group: "python" });
    const doubtful = connection({
      name: "b.example",
      shown: "a.example",
      port: 8443,
      ip: "203.0.113.66",
      group: "python",
    });
    const reports = [[good, doubtful], [good]].map(reportOf);
    const rowsOf = (page: string) => page.split("\n").filter((line) => line.startsWith("| `a.example:8443` |"));
    let page = renderPage(reports[0]!, null);
    for (const [i, why] of ["packages", "asked | them"].entries()) {
      const row = rowsOf(page)[i]!;
      page = page.replace(row, row.replace(/\| {2}\|$/, `| ${why} |`));
    }
    assert.deepEqual(
      rowsOf(page).map((row) => /(?:packages|asked \| them) \|$/.exec(row)?.[0]),
      ["packages |", "asked | them |"],
    );
    assert.equal(renderPage(reports[0]!, page), page);
    const without = renderPage(reports[1]!, page);
    assert.match(without, /\| packages \|\n[^]*## Not seen any more[^]*\| asked \| them \|/);
  });

  test("gives the reason of what was held back to what is then allowed", () => {
    const events = [connection({ name: "webhook.site", group: "python" })];
    const page = withWhy(renderPage(reportOf(events), null), "webhook.site:443", "our own hook");
    const evidence = evidenceOf(events);
    const accepted = propose(evidence, { ...plain, accept: new Set(["webhook.site:443"]) });
    const again = renderPage(baselineReport(evidence, accepted, aim, 0), page);
    assert.match(rowOf(again, "webhook.site"), /\| our own hook \|$/);
    assert.doesNotMatch(again, /Not seen any more/);
  });

  test("keeps what is in a row whose padding an editor took away, and in a page of an older version with other columns", () => {
    const page = withWhy(renderPage(reportOf(some), null), "pypi.org", "packages");
    const tight = page.replaceAll("|  |", "||").replaceAll(" | ", "|");
    assert.deepEqual(driftOf(reportOf(some), tight), []);
    assert.match(rowOf(renderPage(reportOf(some), tight), "pypi.org"), /\| packages \|$/);
    const older = page
      .replaceAll(" | runs | ", " | ")
      .replaceAll(" | 1 of 1 | ", " | ")
      .replace("|---|---|---|", "|---|---|");
    assert.match(rowOf(renderPage(reportOf(some), older), "pypi.org"), /\| packages \|$/);
  });

  test("remembers the reason of what is not seen any more, and gives it back", () => {
    const page = withWhy(renderPage(reportOf(more), null), "new.example", "for releases");
    const without = renderPage(reportOf(some), page);
    assert.match(without, /## Not seen any more\n\n.*\n.*\n\| `python` \| `new\.example` \| tls \| for releases \|/);
    assert.equal(renderPage(reportOf(some), without), without);
    assert.equal(renderPage(reportOf(more), without), page);
  });

  test("is put below what a page without markers says, and refuses markers that are damaged", () => {
    const page = renderPage(reportOf(some), "# Ours\n");
    assert.ok(page.startsWith("# Ours\n\n<!-- sallyport:begin"));
    const end = "<!-- sallyport:end -->";
    const indented = page.replaceAll("<!-- sallyport", "  <!-- sallyport");
    for (const broken of [
      page.replace(end, ""),
      `${page}${end}\n`,
      page.replace(/<!-- sallyport:begin.*/, ""),
      `${page}${page}`,
      indented,
    ]) {
      assert.throws(
        () => renderPage(reportOf(some), broken),
        (error) => error instanceof SallyportError && error.code === "USAGE",
      );
    }
  });

  test("finds its markers behind a byte order mark and before blanks", () => {
    const page = renderPage(reportOf(some), "").trimStart();
    const odd = `\uFEFF${page.replaceAll("-->\n", "--> \t\n")}`;
    assert.deepEqual(driftOf(reportOf(some), odd), []);
    assert.ok(renderPage(reportOf(some), odd).startsWith("\uFEFF<!-- sallyport:begin"));
  });

  test("says what a reader should look at, what a pattern stands for, and each source on a line", () => {
    const events = Array.from({ length: 12 }, (_, n) =>
      connection({ group: "python", name: `shard${(n % 3) + 1}.cdn.example.com`, at: n * 3_600 }),
    );
    const page = renderPage(
      reportOf(
        [
          ...events,
          connection({ group: "python", name: "new.example", at: 1 }),
          ...[1, 2].map((at) => connection({ group: "python", name: "d1.cloudfront.net", at: at * 3_600 })),
          ...[1, 2].map((at) => connection({ group: "python", name: "evil.blob.core.windows.net", at: at * 3_600 })),
          connection({ group: "python", name: "productionresultssa7.blob.core.windows.net", at: 7_200 }),
          connection({ group: "python", name: "productionresultssa7.blob.core.windows.net", at: 3_600 }),
          connection({ source: "192.0.2.7" }),
        ].toSorted((a, b) => (a.time < b.time ? -1 : 1)),
      ),
      null,
    );
    assert.match(page, /^Look at these first, each met in a single run: `new\.example`\.$/m);
    assert.match(
      page,
      /^In zones where anybody can get a name: `d1\.cloudfront\.net`, `evil\.blob\.core\.windows\.net`\.$/m,
    );
    assert.match(
      page,
      /^`shard\{1-3\}\.cdn\.example\.com` stands for `shard1\.cdn\.example\.com`, `shard2.*`, `shard3[^,]*`\.$/m,
    );
    assert.match(page, /^\| `python` \| Keep monitoring \| 12 \| 5 \| 0 \| 0 \| /m);
  });

  test("drifts with endpoints and not with figures", () => {
    const page = renderPage(reportOf(some), null);
    const later = some.map((event) => ({ ...event, time: event.time.replace("05-01", "05-20") }));
    assert.deepEqual(driftOf(reportOf([...some, ...later]), page), []);
    assert.deepEqual(driftOf(reportOf(more), page), ["+ `new.example` tls for `python` (allowed)"]);
    assert.deepEqual(driftOf(reportOf(some.slice(1)), page), ["- `pypi.org` tls for `python` (allowed)"]);
    const bare = connection({ name: null, ip: "198.51.100.9", group: "python" });
    assert.deepEqual(driftOf(reportOf([...some, bare]), page), ["+ `198.51.100.9:443` tls for `python` (held back)"]);
    for (const none of [null, "# Ours\n"])
      assert.deepEqual(driftOf(reportOf(some), none), ["the page has no generated part"]);
    assert.deepEqual(driftOf(reportOf(some), withWhy(page, "pypi.org", "a reason")), []);
  });

  test("lets no name of a job or source out of its cell, and no marker in", () => {
    const job = "x` | evil | <!-- sallyport:end -->\n## Source `y`\u202e";
    const events = [
      connection({ group: "a|b", identity: { job, run_id: 1 } }),
      connection({ name: "z.example", group: "a|b" }),
    ];
    const page = renderPage(reportOf(events), null);
    assert.equal(page.match(/sallyport:end/g)!.length, 2, page);
    assert.equal(page.match(/^## Source/gm)!.length, 1);
    assert.equal(renderPage(reportOf(events), withWhy(page, "pypi.org", "kept")).match(/\| kept \|/g)!.length, 1);
    assert.deepEqual(driftOf(reportOf(events), page), []);
  });
});
