/** `behalf policy check`: judges a policy folder as `snapshot put` and `up` do, and says what is in it. Nothing is contacted. */
import { resolve } from 'node:path';
import { BehalfError } from '../../../errors/index.ts';
import { buildSnapshot, type PolicySummary, type SummaryEdge, summarisePolicy } from '../../../policy/index.ts';
import { defineCommand } from '../../command.ts';
import { readPolicyFolder } from '../../mesh/policy-folder.ts';
import { answer, columns, respond } from '../../output.ts';

export const command = defineCommand({
  usage: 'policy check FOLDER',
  summary: 'Judge a policy folder as if it were put live, and say what is in it or what is wrong.',
  details:
    'FOLDER holds mesh.yaml, the OpenAPI documents and .proto files that it names, *.cedar and schema.cedarschema.\n' +
    'Needs no running mesh. Exit 0 where the policy can be put live, also if it says something in vain; 1 where it cannot,\n' +
    'with the file, the line and the name that was probably meant.',
  flags: {},
  positionals: [1, 1],
  async run({ json }, [folder]) {
    try {
      const files = readPolicyFolder(resolve(folder!));
      const summary = summarisePolicy(buildSnapshot({ files, number: 1, issuedAtS: Date.now() / 1_000 }));
      return respond(json, { ok: true, ...summary }, () => linesOf(summary));
    } catch (error) {
      if (json !== true || !(error instanceof BehalfError) || error.code !== 'snapshot_invalid') throw error;
      // For editors and pipelines: the place and the reason on their own.
      answer({ ok: false, code: error.code, message: error.message, ...error.detail });
      return 1;
    }
  },
});

function linesOf(summary: PolicySummary): readonly string[] {
  const { trustDomain, services, workloads, edges, scopes, policies, unusedScopes, deadEdges } = summary;
  const entries = workloads.filter(({ isEntry }) => isEntry).map(({ name }) => name);
  const calls = (from: string): string =>
    edges
      .filter((edge) => edge.from === from)
      .map(({ to }) => to)
      .join(', ') || 'nobody';
  const names = [...new Set([...services, ...workloads].map(({ name }) => name))];
  const about = names.map((name) => {
    const service = services.find((one) => one.name === name);
    return [
      `  ${name}`,
      service === undefined ? 'no service' : `${service.protocol}, ${counted(service.routes, 'route')}`,
      `calls ${calls(name)}`,
      entries.includes(name) ? 'users enter here' : '',
    ];
  });
  return [
    `The policy of ${trustDomain} can be put live: ${counted(services.length, 'service')}, ${counted(edges.length, 'edge')}, ${counted(scopes.length, 'scope')}, ${counted(policies.length, 'Cedar policy', 'Cedar policies')}.`,
    '',
    ...columns(about),
    ...inVain('Users can grant these scopes, and no route uses them:', unusedScopes),
    ...inVain('No permit can ever allow a call over these edges:', deadEdges.map(arrow)),
    ...(entries.length > 0 ? [] : ['', 'No user can come in: no workload has an `entry`.']),
  ];
}

function inVain(what: string, which: readonly string[]): readonly string[] {
  return which.length === 0 ? [] : ['', what, ...which.map((one) => `  ${one}`)];
}

function arrow({ from, to }: SummaryEdge): string {
  return `${from} -> ${to}`;
}

function counted(count: number, one: string, more = `${one}s`): string {
  return `${count} ${count === 1 ? one : more}`;
}
