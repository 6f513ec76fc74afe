# Disconnects one participant. Needs nothing but PowerShell 7.
#
#     ./hangup.ps1 CONVERSATION_ID PARTICIPANT_ID [REASON]
#
# HANGUP_URL is where the service is, HANGUP_KEY your caller key, HANGUP_WAIT (seconds, default 5) how long to wait until
# the participant is seen gone. Exit: 0 gone or going, 1 nobody was disconnected, 2 still there when last seen.
# Dot-source it to use the functions: . ./hangup.ps1
param([string] $Conversation, [string] $Participant, [string] $Reason = 'user_request')

# Returns the JSON members. Throws when the service does not answer.
function Disconnect-Participant {
    param([string] $Url, [string] $Key, [string] $Conversation, [string] $Participant, [string] $Reason = 'user_request', [string] $Wait = '5')
    $path = 'conversations/{0}/participants/{1}/disconnect' -f [uri]::EscapeDataString($Conversation), [uri]::EscapeDataString($Participant)
    $request = @{
        Method             = 'Post'
        Uri                = '{0}/{1}' -f $Url.TrimEnd('/'), $path
        Headers            = @{ 'X-API-Key' = $Key; 'Prefer' = "wait=$Wait" }
        ContentType        = 'application/json; charset=utf-8'
        Body               = @{ reason = $Reason } | ConvertTo-Json -Compress
        TimeoutSec         = 90
        SkipHttpErrorCheck = $true # every answer is JSON, and says how it went
        ErrorAction        = 'Stop'
    }
    foreach ($last in $false, $true) {
        $response = Invoke-WebRequest @request
        $text = if ($response.Content -is [byte[]]) { [Text.Encoding]::UTF8.GetString($response.Content) } else { $response.Content }
        try { $answer = $text | ConvertFrom-Json -ErrorAction Stop } catch { $answer = $null }
        if ($null -eq $answer.ok) { throw "HTTP $($response.StatusCode) of something other than hangup: check the address" }
        # Busy: retry once, if the answer says when and that is soon.
        $pause = $answer.retryAfterSeconds
        if ($last -or -not $answer.retryable -or $null -eq $pause -or $pause -gt 30) { return $answer }
        Start-Sleep -Seconds $pause
    }
}

# The exit code, and what to tell a person. `gone`, then `outcome` or `code`, say it; the HTTP status says less.
function Get-Verdict {
    param($Answer)
    if ($Answer.outcome -eq 'would_disconnect') { return 1, 'observe mode: nobody was disconnected' }
    if ($Answer.ok -and $Answer.gone -eq $false) { return 2, 'accepted, but still there when last seen' }
    if ($Answer.ok) { return 0, $null } # disconnected, accepted, already_disconnected, conversation_ended
    if ($Answer.effect -eq 'unknown') { return 1, 'the participant may be gone anyway: look before you retry' }
    if ($Answer.code -in 'participant_not_found', 'conversation_not_found') {
        return 1, 'no such participant or conversation: take current ids from Genesys Cloud'
    }
    if ($Answer.code -eq 'upstream_conflict') { return 1, 'Genesys Cloud refuses, and the participant is still there' }
    return 1, $Answer.detail
}

if ($MyInvocation.InvocationName -eq '.') { return }
if (-not $Conversation -or -not $Participant -or -not $env:HANGUP_URL -or -not $env:HANGUP_KEY) {
    [Console]::Error.WriteLine('usage: hangup.ps1 CONVERSATION_ID PARTICIPANT_ID [REASON], with HANGUP_URL and HANGUP_KEY set')
    exit 1
}
$wait = if ($env:HANGUP_WAIT) { $env:HANGUP_WAIT } else { '5' }
try {
    $answer = Disconnect-Participant $env:HANGUP_URL $env:HANGUP_KEY $Conversation $Participant $Reason $wait
} catch {
    [Console]::Error.WriteLine("no answer: $($_.Exception.Message)")
    exit 1
}
$answer | ConvertTo-Json -Compress -Depth 5
$code, $remark = Get-Verdict $answer
if ($remark) { [Console]::Error.WriteLine($remark) }
exit $code
