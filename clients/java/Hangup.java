import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Map;
import java.util.regex.Pattern;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * Disconnects one participant. Needs nothing but Java 17: <pre>java Hangup.java CONVERSATION_ID PARTICIPANT_ID [REASON]</pre>
 * HANGUP_URL is where the service is, HANGUP_KEY your caller key, HANGUP_WAIT (seconds, default 5) how long to wait until
 * the participant is seen gone. Exit: 0 gone or going, 1 nobody was disconnected, 2 still there when last seen.
 */
public class Hangup {
    static final Pattern PAUSE = Pattern.compile("\"retryAfterSeconds\":([0-9]{1,6})");

    static HttpResponse<String> disconnect(String url, String key, String conversation, String participant, String reason, String wait)
            throws Exception {
        var client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(5)).build();
        var request = HttpRequest.newBuilder(URI.create("%s/conversations/%s/participants/%s/disconnect".formatted(
                        url.replaceAll("/+$", ""), escape(conversation), escape(participant))))
                .timeout(Duration.ofSeconds(90))
                .header("X-API-Key", key)
                .header("Accept", "application/json")
                .header("Content-Type", "application/x-www-form-urlencoded")
                .header("Prefer", "wait=" + wait)
                .POST(HttpRequest.BodyPublishers.ofString("reason=" + escape(reason)))
                .build();
        for (int attempt = 1; ; attempt++) {
            var response = client.send(request, HttpResponse.BodyHandlers.ofString());
            if (!has(response, "\"ok\":"))
                throw new IOException("HTTP " + response.statusCode() + " of something other than hangup: check the address");
            // Busy: retry once, if the answer says when and that is soon.
            var pause = PAUSE.matcher(response.body());
            var soon = pause.find() && Integer.parseInt(pause.group(1)) <= 30;
            if (attempt > 1 || !has(response, "\"retryable\":true") || !soon) return response;
            Thread.sleep(Duration.ofSeconds(Integer.parseInt(pause.group(1))).toMillis());
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
        if (args.length < 2 || env.getOrDefault("HANGUP_URL", "").isEmpty() || env.getOrDefault("HANGUP_KEY", "").isEmpty()) {
            System.err.println("usage: Hangup.java CONVERSATION_ID PARTICIPANT_ID [REASON], with HANGUP_URL and HANGUP_KEY set");
            System.exit(1);
        }
        try {
            var answer = disconnect(env.get("HANGUP_URL"), env.get("HANGUP_KEY"), args[0], args[1],
                    args.length > 2 ? args[2] : "user_request", env.getOrDefault("HANGUP_WAIT", "5"));
            System.out.println(answer.body());
            // `gone`, then `outcome` or `code`, say how it went; the HTTP status says less.
            var observed = has(answer, "\"outcome\":\"would_disconnect\"");
            var ok = has(answer, "\"ok\":true") && !observed;
            var stillThere = ok && has(answer, "\"gone\":false");
            if (ok && !stillThere) System.exit(0); // disconnected, accepted, already_disconnected, conversation_ended
            System.err.println(observed ? "observe mode: nobody was disconnected"
                    : stillThere ? "accepted, but still there when last seen"
                    : has(answer, "\"effect\":\"unknown\"") ? "the participant may be gone anyway: look before you retry"
                    : has(answer, "\"code\":\"participant_not_found\"") || has(answer, "\"code\":\"conversation_not_found\"")
                            ? "no such participant or conversation: take current ids from Genesys Cloud"
                    : has(answer, "\"code\":\"upstream_conflict\"") ? "Genesys Cloud refuses, and the participant is still there"
                    : "failed: see detail");
            System.exit(stillThere ? 2 : 1);
        } catch (Exception error) {
            System.err.println("no answer: " + error);
            System.exit(1);
        }
    }
}
