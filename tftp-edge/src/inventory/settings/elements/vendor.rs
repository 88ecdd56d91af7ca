//! The elements of `vendorConfig`.
//!
//! Sources: the page on `SEPMAC.cnf.xml` at usecallmanager.nz and the annotated samples of
//! chan-sccp; what each value means differs between series and stands there.

/// An element of `vendorConfig`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VendorElement {
    pub name: &'static str,
    /// What is written when nothing is set; none: the element is left to the phone.
    pub default: Option<&'static str>,
}

const fn with(name: &'static str, default: &'static str) -> VendorElement {
    let default = Some(default);
    VendorElement { name, default }
}

const fn known(name: &'static str) -> VendorElement {
    VendorElement {
        name,
        default: None,
    }
}

/// In the order they are written. `webAccess`, `sshAccess`, `peerFirmwareSharing` and `loadServer`
/// follow from other settings if they are not set here.
pub static VENDOR_ELEMENTS: &[VendorElement] = &[
    known("defaultWallpaperFile"),
    known("disableSpeaker"),
    known("disableSpeakerAndHeadset"),
    known("enableMuteFeature"),
    known("enableGroupListen"),
    known("holdResumeKey"),
    known("recentsSoftKey"),
    known("handsetWidebandEnable"),
    known("headsetWidebandEnable"),
    known("headsetWidebandUIControl"),
    known("handsetWidebandUIControl"),
    known("videoCapability"),
    known("separateMute"),
    known("hideVideoByDefault"),
    known("ciscoCamera"),
    known("webAccess"),
    known("webProtocol"),
    known("webAdmin"),
    known("adminPassword"),
    known("sshAccess"),
    known("sshPort"),
    with("settingsAccess", "1"),
    with("pcPort", "0"),
    with("spanToPCPort", "1"),
    with("voiceVlanAccess", "0"),
    with("garp", "1"),
    with("enableCdpSwPort", "1"),
    with("enableCdpPcPort", "1"),
    with("enableLldpSwPort", "1"),
    with("enableLldpPcPort", "1"),
    known("cdpEnable"),
    known("lldpAssetId"),
    known("powerPriority"),
    known("powerNegotiation"),
    known("dot1xAuth"),
    known("dfBit"),
    known("forwardingDelay"),
    known("loggingDisplay"),
    known("logServer"),
    known("peerFirmwareSharing"),
    known("loadServer"),
    with("detectCMConnectionFailure", "0"),
    with("g722CodecSupport", "0"),
    known("tls12Only"),
    known("disableTLSCiphers"),
    known("problemReportUploadURL"),
    known("rtcp"),
    known("videoRtcp"),
    with("autoSelectLineEnable", "1"),
    known("autoCallSelect"),
    known("incomingCallToastTimer"),
    known("joinAndDirectTransferPolicy"),
    known("minimumRingVolume"),
    known("adminConfigurableRinger"),
    known("simplifiedNewCall"),
    known("actionableAlert"),
    known("softkeyControl"),
    known("moreKeyReversionTimer"),
    known("recordingTone"),
    known("recordingToneLocalVolume"),
    known("recordingToneRemoteVolume"),
    known("recordingToneDuration"),
    known("displayRefreshRate"),
    known("daysDisplayNotActive"),
    with("displayOnTime", "08:00"),
    with("displayOnDuration", "12:00"),
    with("displayIdleTimeout", "01:00"),
    known("displayOnWhenIncomingCall"),
    known("daysBacklightNotActive"),
    known("backlightOnTime"),
    known("backlightOnDuration"),
    known("backlightIdleTimeout"),
    known("backlightOnWhenIncomingCall"),
    known("bluetooth"),
    known("bluetoothProfile"),
    known("btpbap"),
    known("bthfu"),
    known("wifi"),
    known("sdio"),
    known("usb1"),
    known("usb2"),
    known("usbClasses"),
    known("ehookEnable"),
    known("kemOneColumn"),
    known("lineMode"),
    known("showCallHistoryForSelectedLine"),
    known("dialToneFromReleaseKey"),
    known("accessContacts"),
    known("accessFavorites"),
    known("accessVoicemail"),
    known("accessApps"),
    known("applicationURL"),
    known("appButtonTimer"),
    known("appButtonPriority"),
    known("homeScreen"),
    known("sendKeyAction"),
    known("specialNumbers"),
    known("outOfRangeAlert"),
    known("scanningMode"),
    known("powerOffWhenCharging"),
];
