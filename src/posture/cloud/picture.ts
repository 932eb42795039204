/**
 * A picture of where a subnet leads, as SVG that needs nothing else: the subnet, each route with what it takes and lets through, and
 * where it ends, in the colour of its verdict. Names come from foreign files: everything is escaped, cut to a length, and never a link.
 */
import { formatCidr } from "../../address/cidr.ts";
import type { SubnetAudit } from "../../network/audit.ts";
import { questionOf, spansText } from "../../network/judge.ts";
import type { Reviewed } from "../../network/judge.ts";
import { targetKinds } from "../../network/model.ts";
import { permitsText } from "../../network/permits.ts";
import type { Reach } from "../../network/reach.ts";
import { shown } from "../../cloud/value.ts";
import type { NetworkCheck, NetworkEvidence } from "../../network/finding.ts";

type Verdict = "open" | "unknown" | "closed" | "guarded";

interface Row {
  readonly verdict: Verdict;
  readonly what: string;
  readonly by: string;
  readonly target: string;
  readonly id: string;
  /** Null: no route decides. */
  readonly reaches: Reach[] | null;
}

/** More rows than this are no picture; how many are left out is written under it. */
const mostRows = 24;
const order: readonly Verdict[] = ["open", "unknown", "guarded", "closed"];
const looks: Record<Verdict, { colour: string; fill: string; word: string; dash: string }> = {
  open: { colour: "#b42318", fill: "#fef3f2", word: "open", dash: "" },
  unknown: { colour: "#93600a", fill: "#fffaeb", word: "not known", dash: "6 4" },
  guarded: { colour: "#0b6b3a", fill: "#ecfdf3", word: "guarded", dash: "" },
  closed: { colour: "#667085", fill: "#f9fafb", word: "closed", dash: "2 5" },
};

const toInternet: ReadonlySet<string> = new Set(["nat", "internet", "egress-only"]);
const rowHeight = 64;
const width = 1160;

/** The picture of one subnet. */
export function subnetPicture(audit: SubnetAudit, reviewed: Reviewed): string {
  const { subnet, table } = audit;
  const rows = [...rowsOf(audit, reviewed), ...besideRows(audit)].toSorted(
    (a, b) => order.indexOf(a.verdict) - order.indexOf(b.verdict),
  );
  const drawn = rows.slice(0, mostRows);
  const height = Math.max(1, drawn.length) * rowHeight + 132;
  const middle = 92 + (Math.max(1, drawn.length) * rowHeight) / 2;
  const title = `Where the subnet ${shown(subnet.name ?? subnet.id, 60)} leads`;
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" font-family="system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="13">`,
    `<title>${escaped(title)}</title>`,
    `<desc>${escaped(drawn.map((row) => `${row.what} by ${row.target} ${row.id}: ${looks[row.verdict].word}`).join("; "))}</desc>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    text(24, 38, title, "#101828", 'font-size="20" font-weight="600"'),
    text(24, 62, `route table ${shown(table?.id ?? "not known", 60)}`, "#475467"),
    `<rect x="24" y="${middle - 44}" width="196" height="88" rx="8" fill="#f2f4f7" stroke="#344054"/>`,
    text(38, middle - 20, shown(subnet.name ?? "subnet", 24), "#101828", 'font-weight="600"'),
    text(38, middle, shown(subnet.id, 26), "#475467", 'font-size="12"'),
    ...subnet.cidrs
      .slice(0, 2)
      .map((cidr, i) => text(38, middle + 19 + i * 16, formatCidr(cidr), "#475467", 'font-size="12"')),
    ...drawn.flatMap((row, i) => rowLines(row, 92 + i * rowHeight, middle)),
    ...(drawn.length === 0 ? [text(300, middle, "No route is known.", looks.unknown.colour)] : []),
    ...legend(height - 20, rows.length - drawn.length),
    "</svg>",
  ];
  return `${lines.join("\n")}\n`;
}

function rowLines(row: Row, y: number, middle: number): string[] {
  const { colour, fill, word, dash } = looks[row.verdict];
  const at = y + rowHeight / 2;
  const dashed = dash === "" ? "" : ` stroke-dasharray="${dash}"`;
  const permits =
    row.reaches === null
      ? ""
      : row.reaches.every((reach) => reach.permits.length === 0)
        ? "security groups or ACL let nothing through"
        : `lets through ${permitsText(row.reaches.flatMap((reach) => reach.permits).filter((permit, i, all) => all.findIndex((each) => each.protocol === permit.protocol && each.from === permit.from && each.to === permit.to) === i))}`;
  return [
    `<path d="M220 ${middle} C 270 ${middle}, 250 ${at}, 300 ${at} L 772 ${at}" fill="none" stroke="${colour}" stroke-width="2"${dashed}/>`,
    `<path d="M772 ${at - 5} L782 ${at} L772 ${at + 5} Z" fill="${colour}"/>`,
    text(306, at - 8, shown(row.what, 58), "#101828", 'font-weight="600"'),
    text(306, at + 18, shown(permits === "" ? row.by : `${row.by}; ${permits}`, 70), "#475467", 'font-size="12"'),
    `<rect x="784" y="${y + 6}" width="352" height="${rowHeight - 12}" rx="8" fill="${fill}" stroke="${colour}"/>`,
    text(798, at - 5, shown(row.target, 36), "#101828", 'font-weight="600"'),
    text(798, at + 14, shown(row.id, 46), "#475467", 'font-size="12"'),
    text(1124, at - 5, word, colour, 'font-weight="600" text-anchor="end"'),
  ];
}

function legend(y: number, left: number): string[] {
  const parts = order.map((verdict, i) => {
    const x = 306 + i * 128;
    return `<rect x="${x}" y="${y - 11}" width="12" height="12" rx="3" fill="${looks[verdict].colour}"/>${text(x + 18, y, looks[verdict].word, "#475467", 'font-size="12"')}`;
  });
  return left <= 0 ? parts : [...parts, text(24, y, `${left} more routes are not drawn`, "#475467", 'font-size="12"')];
}

/** What a route takes of one family and verdict, as one row; what no route table decides is left out. */
function rowsOf({ subnet, reaches }: SubnetAudit, reviewed: Reviewed): Row[] {
  const found = new Map<string, Omit<Row, "what"> & { reaches: Reach[] }>();
  for (const reach of reaches) {
    if (reach.realm === "none" || reach.realm === "link-local" || reach.target.kind === "none") continue;
    const verdict = verdictOf(reach, { subnet, reviewed });
    // The internet drops what is sent to private addresses: no way out, and nobody guards it.
    if (verdict === "guarded" && reach.realm === "private" && toInternet.has(reach.target.kind)) continue;
    const key = JSON.stringify([reach.family, verdict, reach.path.map(({ place }) => place.pointer), reach.target]);
    const known = found.get(key);
    if (known !== undefined) {
      known.reaches.push(reach);
      continue;
    }
    const by = reach.path.map(({ destination }) => `route ${shown(destination, 40)}`).join(", then ");
    found.set(key, {
      verdict,
      by,
      target: targetKinds[reach.target.kind],
      id: reach.target.id,
      reaches: [reach],
    });
  }
  return [...found.values()].map((row) => ({ ...row, what: spansText(row.reaches) }));
}

/** Ways past every route, by the checks that judge them: the addresses, and what answers there. */
const ways: Readonly<Partial<Record<NetworkCheck, readonly [string, string]>>> = {
  resolver: ["VPC+2, 169.254.169.253, fd00:ec2::253", "Amazon's resolver"],
  "endpoint-policy": ["a service of AWS's", "service endpoint"],
  "metadata-tokens": ["169.254.169.254, fd00:ec2::254", "metadata service"],
  "metadata-hops": ["169.254.169.254, fd00:ec2::254", "metadata service"],
};

/** One row a way: the worst that is said of it. */
function besideRows({ beside }: SubnetAudit): Row[] {
  const outcomes = ["fail", "unknown", "pass"] as const;
  const byWay = Map.groupBy(
    beside.filter(({ check }) => ways[check] !== undefined),
    ({ check, subject }) => JSON.stringify([ways[check], subject]),
  );
  return [...byWay.values()].map((list) => {
    const worst = list.toSorted((a, b) => outcomes.indexOf(a.outcome) - outcomes.indexOf(b.outcome))[0]!;
    return besideRow(worst, ways[worst.check]!);
  });
}

function besideRow({ outcome, message, subject }: NetworkEvidence, [what, target]: readonly [string, string]): Row {
  const verdict = outcome === "fail" ? "open" : outcome === "unknown" ? "unknown" : "guarded";
  return { verdict, what, by: message, target, id: subject, reaches: null };
}

function verdictOf(reach: Reach, { subnet, reviewed }: { subnet: SubnetAudit["subnet"]; reviewed: Reviewed }): Verdict {
  const question = questionOf(reach, subnet, reviewed);
  if (question !== null) return question === "way-out-unknown" ? "unknown" : "open";
  return reach.permits.length === 0 || reach.target.kind === "blackhole" ? "closed" : "guarded";
}

function text(x: number, y: number, content: string, colour: string, more = ""): string {
  return `<text x="${x}" y="${y}" fill="${colour}"${more === "" ? "" : ` ${more}`}>${escaped(content)}</text>`;
}

/** For text and attributes alike; what XML has no character for is replaced. */
function escaped(content: string): string {
  const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return content
    .toWellFormed()
    .replaceAll(/[\p{Cc}\ufffe\uffff]/gu, " ")
    .replaceAll(/[&<>"']/g, (each) => entities[each]!);
}
