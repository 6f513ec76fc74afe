// Disconnects one participant. Needs nothing but .NET.
//
//     dotnet run Hangup.cs CONVERSATION_ID PARTICIPANT_ID [REASON]        (.NET 10; older ones: put it into a console project)
//
// HANGUP_URL is where the service is, HANGUP_KEY your caller key, HANGUP_WAIT (seconds, default 5) how long to wait until
// the participant is seen gone. Exit: 0 gone or going, 1 nobody was disconnected, 2 still there when last seen.
using System;
using System.Collections.Generic;
using System.IO;
using System.Net.Http;
using System.Text;
using System.Text.Json;
using System.Threading.Tasks;

public static class Hangup
{
    // One client for all calls. The service waits up to 60 seconds beyond its deadline where it is asked to.
    static readonly HttpClient Http = new HttpClient { Timeout = TimeSpan.FromSeconds(90) };

    /// <summary>Returns the JSON members. Throws HttpRequestException, TaskCanceledException or IOException without an answer.</summary>
    public static async Task<JsonElement> Disconnect(
        string url, string key, string conversation, string participant, string reason = "user_request", string wait = "5")
    {
        var address = $"{url.TrimEnd('/')}/conversations/{Uri.EscapeDataString(conversation)}"
            + $"/participants/{Uri.EscapeDataString(participant)}/disconnect";
        for (var last = false; ; last = true)
        {
            var request = new HttpRequestMessage(HttpMethod.Post, address);
            request.Headers.Add("X-API-Key", key);
            request.Headers.Add("Prefer", "wait=" + wait);
            var body = JsonSerializer.Serialize(new Dictionary<string, string> { { "reason", reason } });
            request.Content = new StringContent(body, Encoding.UTF8, "application/json");
            var response = await Http.SendAsync(request);
            var answer = Members((int)response.StatusCode, await response.Content.ReadAsStringAsync());
            // Busy: retry once, if the answer says when and that is soon.
            JsonElement pause;
            var soon = answer.TryGetProperty("retryAfterSeconds", out pause) && pause.ValueKind == JsonValueKind.Number && pause.GetInt32() <= 30;
            if (last || !soon || !Is(answer, "retryable", JsonValueKind.True)) return answer;
            await Task.Delay(TimeSpan.FromSeconds(pause.GetInt32()));
        }
    }

    static JsonElement Members(int status, string body)
    {
        try
        {
            using (var read = JsonDocument.Parse(body))
            {
                JsonElement ok;
                var isObject = read.RootElement.ValueKind == JsonValueKind.Object;
                if (isObject && read.RootElement.TryGetProperty("ok", out ok)) return read.RootElement.Clone();
            }
        }
        catch (JsonException)
        {
            // Not JSON: said below.
        }
        throw new IOException($"HTTP {status} of something other than hangup: check the address");
    }

    static bool Is(JsonElement answer, string member, JsonValueKind kind)
    {
        JsonElement value;
        return answer.TryGetProperty(member, out value) && value.ValueKind == kind;
    }

    static string Text(JsonElement answer, string member)
    {
        return Is(answer, member, JsonValueKind.String) ? answer.GetProperty(member).GetString() : "";
    }

    /// <summary>The exit code, and what to tell a person. `gone`, then `outcome` or `code`, say it; the HTTP status says less.</summary>
    public static (int Code, string Remark) Verdict(JsonElement answer)
    {
        var ok = Is(answer, "ok", JsonValueKind.True);
        if (Text(answer, "outcome") == "would_disconnect") return (1, "observe mode: nobody was disconnected");
        if (ok && Is(answer, "gone", JsonValueKind.False)) return (2, "accepted, but still there when last seen");
        if (ok) return (0, ""); // disconnected, accepted, already_disconnected, conversation_ended
        if (Text(answer, "effect") == "unknown") return (1, "the participant may be gone anyway: look before you retry");
        switch (Text(answer, "code"))
        {
            case "participant_not_found":
            case "conversation_not_found":
                return (1, "no such participant or conversation: take current ids from Genesys Cloud");
            case "upstream_conflict":
                return (1, "Genesys Cloud refuses, and the participant is still there");
            default:
                return (1, Text(answer, "detail"));
        }
    }

    public static int Main(string[] args)
    {
        var url = Environment.GetEnvironmentVariable("HANGUP_URL");
        var key = Environment.GetEnvironmentVariable("HANGUP_KEY");
        if (args.Length < 2 || string.IsNullOrEmpty(url) || string.IsNullOrEmpty(key))
        {
            Console.Error.WriteLine("usage: Hangup.cs CONVERSATION_ID PARTICIPANT_ID [REASON], with HANGUP_URL and HANGUP_KEY set");
            return 1;
        }
        try
        {
            var reason = args.Length > 2 ? args[2] : "user_request";
            var wait = Environment.GetEnvironmentVariable("HANGUP_WAIT") ?? "5";
            var answer = Disconnect(url, key, args[0], args[1], reason, wait).GetAwaiter().GetResult();
            Console.WriteLine(answer.GetRawText());
            var verdict = Verdict(answer);
            if (verdict.Remark != "") Console.Error.WriteLine(verdict.Remark);
            return verdict.Code;
        }
        catch (Exception error) when (error is HttpRequestException || error is IOException || error is TaskCanceledException || error is UriFormatException)
        {
            Console.Error.WriteLine("no answer: " + error.Message);
            return 1;
        }
    }
}
