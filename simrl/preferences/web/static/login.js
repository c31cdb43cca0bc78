// A link from another site comes without our strict cookie: look whether somebody is logged in.

fetch("/api/me", { credentials: "same-origin", cache: "no-store" })
  .then((reply) => reply.status === 200 && location.replace("/"))
  .catch(() => {});
