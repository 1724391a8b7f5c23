/** Act 2: the user consents, by the real authorization code flow with PKCE, as a browser would go through it. */
import { type ObtainedTokens, obtainTokens } from '../../authority/headless/index.ts';
import { DEMO_SCOPES } from '../../demo/index.ts';
import { lifetime } from '../draw/words.ts';
import { CONSENT_S, type DemoUser, PURPOSE } from './demo-plan.ts';
import { eventsOfKind, nowUs, type Stage, untilRecorded } from './stage.ts';

export async function tellConsent(stage: Stage): Promise<ObtainedTokens> {
  const { tell, demo } = stage;
  tell.act(2, 'A user consents');
  const sinceUs = nowUs();
  const tokens = await consentOf(stage, demo.users.demo);
  tell.line(
    `The user ${tell.style.bold('demo')} signed in and let the shop’s app act:`,
    '',
    `  may        ${tokens.scopes.join(' ')}`,
    `  for        ${lifetime(CONSENT_S)}`,
    `  because    ${PURPOSE}`,
    `  consent    ${tokens.consentId}`,
    '',
  );
  const event = await untilRecorded(async () => (await eventsOfKind(stage, 'consent', 'consent', sinceUs))[0] ?? null);
  tell.check(
    event?.consent.change === 'granted' && DEMO_SCOPES.every((scope) => event.consent.scopes.includes(scope)),
    'the consent is in the log, with a pseudonym in place of the user’s name',
  );
  tell.prose('The app now holds an access token. It is good at the mesh’s entry alone; no service will ever see it.');
  return tokens;
}

/** One user's consent to all that the demo asks for. */
export function consentOf({ mesh, demo }: Stage, { account, password }: DemoUser): Promise<ObtainedTokens> {
  const { id: clientId, redirectUri } = demo.client;
  return obtainTokens({
    issuer: mesh.file.authority!.issuer,
    clientId,
    redirectUri,
    account,
    password,
    scopes: DEMO_SCOPES,
    purpose: PURPOSE,
    durationS: CONSENT_S,
  });
}
