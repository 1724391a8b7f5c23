/** `behalf snapshot put`: builds a policy folder, signs the snapshot with the operator's key and puts it live. */
import { join, resolve } from 'node:path';
import { pino } from 'pino';
import { defineCommand } from '../../command.ts';
import { DIR_FLAG, directoryOf } from '../../mesh/dir-flag.ts';
import { asOperator } from '../../mesh/operator.ts';
import { readPolicyFolder } from '../../mesh/policy-folder.ts';
import { readPolicyKey } from '../../mesh/policy-key.ts';
import { putSnapshot } from '../../mesh/put-snapshot.ts';
import { respond } from '../../output.ts';

export const command = defineCommand({
  usage: 'snapshot put FOLDER',
  summary: 'Judge, number and sign a policy, and put it live at every sidecar.',
  details:
    'FOLDER holds mesh.yaml, the OpenAPI documents and .proto files that it names, *.cedar and schema.cedarschema.\nServices without endpoints in it get those of the mesh in --dir.',
  flags: {
    key: {
      type: 'string',
      value: 'FILE',
      description: 'The policy key, PEM; the one in the mesh’s directory by default.',
    },
    dir: DIR_FLAG,
  },
  positionals: [1, 1],
  async run(values, [folder]) {
    const directory = resolve(directoryOf(values.dir));
    const files = readPolicyFolder(folder!);
    return asOperator(directory, async ({ identity, mesh }) => {
      const { number, services } = await putSnapshot({
        directory,
        operator: identity,
        collector: mesh.collector,
        key: readPolicyKey(values.key ?? join(directory, 'operator', 'policy-key.pem')),
        files,
        endpoints: new Map(mesh.services.map((service) => [service.name, [service.mesh]])),
        log: pino({ level: 'fatal' }, pino.destination(2)),
      });
      return respond(values.json, { number, services: Object.keys(services) }, () => [`snapshot ${number} is live`]);
    });
  },
});
