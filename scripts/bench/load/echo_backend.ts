/**
 * A backend that sends back every WebSocket message.
 *
 *     deno run --allow-net echo_backend.ts PORT
 */
Deno.serve({ hostname: "127.0.0.1", port: Number(Deno.args[0]), onListen: () => {} }, (request) => {
  if (request.headers.get("upgrade") !== "websocket") return new Response("websocket only\n", { status: 426 });
  const { socket, response } = Deno.upgradeWebSocket(request);
  socket.onmessage = ({ data }) => socket.send(data);
  return response;
});
