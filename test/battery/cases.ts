/** Every case of the battery, in the order of the threat list. A name that is used twice is a mistake. */
import { caseName, type Case } from "./case.ts";
import { answerCases } from "./dns/answers.ts";
import { questionCases } from "./dns/questions.ts";
import { addressCases } from "./names/address.ts";
import { againCases } from "./names/again.ts";
import { hiddenCases } from "./names/hidden.ts";
import { hostCases } from "./names/host.ts";
import { insertionCases } from "./names/insertion.ts";
import { pieceCases } from "./names/pieces.ts";
import { protocolCases } from "./names/protocol.ts";
import { quicCases } from "./names/quic.ts";
import { shownCases } from "./names/shown.ts";
import { toolCases } from "./tools.ts";
import { connectionCases } from "./transport/connections.ts";
import { packetCases } from "./transport/packets.ts";
import { uploadCases } from "./transport/uploads.ts";
import { workCases } from "./works/works.ts";

export function allCases(): Case[] {
  const cases: Case[] = [
    ...[
      ...addressCases,
      ...hostCases,
      ...shownCases,
      ...pieceCases,
      ...insertionCases,
      ...protocolCases,
      ...hiddenCases,
    ],
    ...[...quicCases, ...againCases],
    ...[...questionCases, ...answerCases],
    ...[...packetCases, ...connectionCases, ...uploadCases],
    ...[...toolCases, ...workCases],
  ];
  const names = cases.map(caseName);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new Error(`two cases are called ${twice}`);
  return cases;
}
