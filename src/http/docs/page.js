// Shows the contract in Swagger UI. The page may stand behind a prefix, so requests go to where the page came from.
"use strict";

(async () => {
  const base = new URL(".", location.href);
  const contract = await (await fetch(new URL("openapi.json", base))).json();
  contract.servers = [{ url: base.href.replace(/\/$/, "") }];
  window.SwaggerUIBundle({
    spec: contract,
    dom_id: "#contract",
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    displayOperationId: true,
    displayRequestDuration: true,
    tryItOutEnabled: true,
    persistAuthorization: false,
    validatorUrl: null,
    syntaxHighlight: { activated: false },
  });
})();
