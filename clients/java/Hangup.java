import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Map;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * Hangs up one participant. Needs nothing but Java 17: <pre>java Hangup.java CONVERSATION_ID PARTICIPANT_ID [REASON]</pre>
 * HANGUP_URL is where the service is, HANGUP_KEY your caller key, HANGUP_WAIT (seconds, default 5) how long to wait until
 * the participant is seen gone. Exit: 0 gone or going, 1 nobody was hung up, 2 still there when last seen.
 */
public class Hangup {
    static HttpResponse<String> hangUp(String url, String key, String conversation, String participant, String reason, String wait)
            throws Exception {
        var client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(5)).build();
        var request = HttpRequest.newBuilder(URI.create("%s/conversations/%s/participants/%s/disconnect".formatted(
                        url, escape(conversation), escape(participant))))
                .timeout(Duration.ofSeconds(90))
                .header("X-API-Key", key)
                .header("Accept", "application/json")
                .header("Content-Type", "application/x-www-form-urlencoded")
                .header("Prefer", "wait=" + wait)
                .POST(HttpRequest.BodyPublishers.ofString("reason=" + escape(reason)))
                .build();
        for (int attempt = 1; ; attempt++) {
            var response = client.send(request, HttpResponse.BodyHandlers.ofString());
            var pause = response.headers().firstValueAsLong("Retry-After").orElse(99);
            var busy = (response.statusCode() == 429 || response.statusCode() == 503) && has(response, "\"retryable\":true");
            // Busy, and worth repeating: once, when it says so and not for long.
            if (attempt > 1 || !busy || pause > 30) return response;
            Thread.sleep(Duration.ofSeconds(pause).toMillis());
        }
    }

    static String escape(String text) {
        return URLEncoder.encode(text, UTF_8);
    }

    /** The answers are one line of JSON without spaces; with a JSON library at hand, read the member instead. */
    static boolean has(HttpResponse<String> response, String member) {
        return response.body().contains(member);
    }

    public static void main(String[] args) {
        Map<String, String> env = System.getenv();
        try {
            var response = hangUp(env.get("HANGUP_URL"), env.get("HANGUP_KEY"), args[0], args[1],
                    args.length > 2 ? args[2] : "user_request", env.getOrDefault("HANGUP_WAIT", "5"));
            System.out.println(response.body());
            var observed = has(response, "\"outcome\":\"would_disconnect\"");
            // 200: disconnected, accepted, already_disconnected, conversation_ended
            if (response.statusCode() == 200 && !observed) System.exit(0);
            System.err.println(switch (response.statusCode()) {
                case 200 -> "observe mode: nobody was hung up";
                case 202 -> "taken over, but still there when last seen";
                case 404 -> "no such participant or conversation: are the ids fresh, and Genesys Cloud's?";
                case 409 -> "Genesys Cloud refuses, and the participant is still there";
                default -> has(response, "\"effect\":\"unknown\"")
                        ? "the participant may be gone all the same: look before you repeat" : "failed: see detail";
            });
            System.exit(response.statusCode() == 202 ? 2 : 1);
        } catch (Exception error) {
            System.err.println("no answer: " + error);
            System.exit(1);
        }
    }
}
