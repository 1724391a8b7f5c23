/** `docs/errors.md` as text, made from the table alone, so that the page can be checked against it. */
import { ERROR_TABLE, type ErrorCode, type ErrorEntry, type ErrorGroup, GRPC_STATUS } from './table.ts';

/** Order and headings of the page. Typed as complete, so that a new group cannot be forgotten. */
const HEADINGS: { readonly [group in ErrorGroup]: string } = {
  delegation: 'The delegation chain and its use',
  entry: 'Where a user’s request enters',
  peer: 'Peers and local processes',
  request: 'Requests',
  availability: 'Availability',
  identity: 'Identity and the CA',
  operator: 'Operators: configuration, commands, files',
};

const INTRODUCTION = `# Errors

Every refusal has one code, the same in the HTTP problem body (RFC 9457, \`application/problem+json\`, member \`code\`), in the
gRPC status details (\`google.rpc.ErrorInfo\`, \`reason\`), in the hop event and in the log. Codes are never renamed or reused.
Clients outside the mesh see \`delegation_refused\` and a hop id for most of them; \`behalf hops\` shows the exact code.

This page is made from \`errors/table.ts\` by \`node errors/write-docs.ts\`; do not edit it by hand.
`;

/** The whole page, Markdown, with a newline at its end. */
export function errorsPage(): string {
  const codes = Object.keys(ERROR_TABLE) as ErrorCode[];
  const sections = (Object.keys(HEADINGS) as ErrorGroup[]).map((group) =>
    [
      `## ${HEADINGS[group]}`,
      '',
      '| code | HTTP | gRPC | what was seen | what to do |',
      '| --- | --- | --- | --- | --- |',
      ...codes.filter((code) => ERROR_TABLE[code].group === group).map((code) => row(code, ERROR_TABLE[code])),
      '',
    ].join('\n'),
  );
  return `${INTRODUCTION}\n${sections.join('\n')}`;
}

function row(code: ErrorCode, { http, grpc, meaning, action }: ErrorEntry): string {
  const cells = [`<a id="${code}"></a>\`${code}\``, `${http}`, `${grpc} (${GRPC_STATUS[grpc]})`, meaning, action];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}
