/**
 * The Cedar model (DESIGN section 6). Every mesh shares this much; a service's own actions and resource types are declared
 * beside the policies, in `schema.cedarschema`, whose text becomes the rest of the same namespace:
 *
 *     action charge appliesTo { principal: [Workload], resource: [Resource], context: Delegation };
 *
 * or with a type of its own, whose name then is the AuthZEN `type`:
 *
 *     entity Order in [Service] { owner: String, amount?: Long };
 *     action refund appliesTo { principal: [Workload], resource: [Order], context: Delegation };
 */

export const NAMESPACE = 'Behalf';

/** Types that requests are built of; `entities.ts` makes values of them. */
const BASE_DECLARATIONS = `  // What the delegation of a call gives. Texts are empty where the delegation has none.
  type Delegation = {
    // Pseudonym of the user, or the SPIFFE ID of the workload that acts for itself.
    subject: String,
    client: String,
    consent: String,
    purpose: String,
    // What is left of the scope.
    scopes: Set<String>,
    // Everyone who held the chain, from the entry workload to the peer.
    actors: Set<Workload>,
    depth: Long,
    peer: Workload,
    // Whether the workload calls on its own authority.
    own: Bool,
    // Types of the authorization details that are left, as "payment".
    details: Set<String>,
  };

  // By SPIFFE ID.
  entity Workload;
  entity Service;
  // "<service> <METHOD> <template>".
  entity Route in [Service] { method: String, template: String, operation: String };
  // A destination outside the mesh, by its name in mesh.yaml.
  entity Exit;
  // "<exit> <METHOD> <template>". \`audience\` is empty where calls carry no token.
  entity ExitRoute in [Exit] { origin: String, audience: String, method: String, template: String, operation: String };
  // A resource of the app's own whose type is not declared. \`owner\` is empty where the app names none.
  entity Resource in [Service] { type: String, id: String, owner: String };

  action call appliesTo { principal: [Workload], resource: [Route], context: Delegation };
  // \`peer\` is the caller itself: nobody else judges the call.
  action exit appliesTo { principal: [Workload], resource: [ExitRoute], context: Delegation };
`;

/** The whole schema: ours and what the policy folder declares. */
export function schemaWith(additions: string): string {
  return `namespace ${NAMESPACE} {\n${BASE_DECLARATIONS}\n${additions}\n}\n`;
}

/** Whether a schema, perhaps of an older build, lets policies ask for the types of details. */
export function tellsDetails(schema: string): boolean {
  return schema.includes('details: Set<String>');
}
