"""Words that speak for a kind of task, by group; `a_b` is the pair of words a, b.

The groups are written by hand, so that the classifier knows words that no training prompt held. Each is counted over
the prompt; the learned part gives the counts, their presence and some products of theirs a weight.
"""

from __future__ import annotations

from collections.abc import Mapping

GROUPS: Mapping[str, str] = {
    # What is asked for, by verb.
    "make": (
        "create make build write generate implement develop design construct produce draft prepare add define "
        "compose craft provide give erstelle schreibe schreib baue crea crée créer écris escribe escreva crie "
        "scrivi напиши создай napisz stwórz schrijf maak yaz oluştur 写 编 作成 쓰"
    ),
    "change": (
        "edit modify change convert transform rewrite refactor update fix correct improve optimize optimise "
        "simplify rename replace remove insert sort reverse swap adapt port migrate debug repair behebe korrigiere "
        "corrige modifie réécris исправь popraw 修复 修改 直して"
    ),
    "explain": (
        "explain describe clarify elaborate outline discuss define summarize summarise summary overview interpret "
        "illustrate erkläre beschreibe explique décris explica spiega объясни опиши wyjaśnij leg_uit açıkla 解释 説明 "
        "설명"
    ),
    "judge": (
        "analyze analyse analysis evaluate assess compare contrast critique argue justify examine investigate "
        "discuss debate pros cons tradeoff tradeoffs trade-offs implications advantages disadvantages analysiere "
        "vergleiche bewerte analysez analiza compara проанализируй сравни porównaj 分析 比较 比較 비교"
    ),
    "solve": (
        "solve calculate compute determine evaluate simplify factor prove derive deduce infer show find berechne "
        "löse beweise bestimme calcule résous démontre calcula resuelve demuestra calcola risolvi вычисли реши "
        "докажи найди oblicz rozwiąż udowodnij hesapla çöz 计算 求 证明 解 計算 証明 풀어"
    ),
    "choose": (
        "choose select pick decide rank recommend suggest recommendation recommendations suggestions empfiehl "
        "recommande recomienda посоветуй poleć 推荐 おすすめ 추천"
    ),
    "list": (
        "list name enumerate top ideas examples tips steps ways reasons brainstorm liste nenne énumère enumera "
        "перечисли wymień 列出"
    ),
    "want": (
        "need want would_like please help help_me could_you can_you i_need i_want i'd bitte hilf aide ayuda "
        "ayúdame ajuda помоги pomóż help_mij yardım 请 帮我 ください 도와"
    ),
    "ask": (
        "what who when where which how why whose whom what's who's was wer wann wo welche wie warum quoi qui quand "
        "où quel quelle comment pourquoi qué quién cuándo dónde cuál cómo como quando onde qual quem che chi dove "
        "quale perché что кто когда где какой как почему co kto kiedy gdzie jaki dlaczego wat waar hoe waarom ne "
        "kim nerede nasıl neden 什么 谁 哪 怎么 为什么 多少 何 誰 どこ なぜ 뭐 누구 어디 왜"
    ),
    "how_to": (
        "how_to how_do how_can how_would how_could ways_to way_to steps_to guide tutorial instructions "
        "step-by-step teach teach_me show_me tell_me"
    ),
    "numbers_asked": (
        "how_many how_much how_long how_far how_old how_often what_percentage what_fraction what_is_the_sum "
        "combien cuántos cuánto quanti quanto wieviel wieviele сколько ile kaç 多少 几 いくつ 몇"
    ),
    # Code.
    "code_noun": (
        "function functions method program script code class codebase module package snippet algorithm loop "
        "variable variables array arrays list lists tuple dictionary dict string strings integer integers float "
        "boolean pointer struct enum interface object objects constructor decorator iterator generator lambda "
        "closure callback recursion recursive parser compiler interpreter regex regexp expression query queries "
        "table tables column columns database schema index api endpoint server client request response component "
        "form button page website webpage app application cli tool bot library framework test tests unittest "
        "stylesheet selector div element file files folder directory command commands terminal shell cron daemon "
        "thread threads process queue stack tree graph node linked hash hashmap heap matrix dataframe csv "
        "substring vowel vowels palindrome fibonacci factorial prime anagram funktion skript programm klasse "
        "fonction programme función programa funzione programma функцию функция скрипт программу код funkcję "
        "skrypt functie fonksiyon 函数 程序 代码 脚本 関数 プログラム コード 함수 코드"
    ),
    "code_language": (
        "python java javascript typescript c++ c# c rust golang go ruby php swift kotlin scala perl r matlab julia "
        "haskell lua bash powershell zsh sql mysql postgres postgresql sqlite mongodb html css sass react reactjs "
        "angular vue svelte node nodejs express django flask fastapi spring rails laravel pandas numpy pytorch "
        "tensorflow sklearn keras docker dockerfile kubernetes terraform ansible nginx git github graphql yaml "
        "json xml assembly fortran cobol vba excel solidity dart flutter elixir erlang clojure jquery bootstrap "
        "tailwind webpack makefile cmake linux unix ubuntu regex"
    ),
    "code_verb": (
        "implement code program refactor debug compile deploy instantiate iterate parse serialize deserialize sort "
        "concatenate append traverse initialize print prints printed returns return_the returns_the takes_a "
        "programmiere implementiere programmer coder programar реализуй zaimplementuj 实现 实装 実装 구현"
    ),
    "code_token": (
        "def import return self elif const let var void int bool str null none true false public private static "
        "async await print println console lambda func fn impl struct namespace include using extends implements "
        "throw throws catch finally except raise yield switch case break continue while foreach select insert "
        "update delete join where group_by order_by create_table varchar assert endif #include std cout"
    ),
    "error_word": (
        "error exception traceback stacktrace bug bugs crash crashes fails failing undefined nullpointerexception "
        "typeerror valueerror keyerror indexerror syntaxerror segfault segmentation warning fehler erreur ошибка "
        "błąd 报错 エラー"
    ),
    # Mathematics and reasoning.
    "math_word": (
        "equation equations polynomial polynomials integral derivative matrix vector theorem lemma proof triangle "
        "circle square rectangle polygon radius diameter perimeter area volume angle angles hypotenuse probability "
        "permutation permutations combination combinations sum product difference quotient remainder divisible "
        "divisor multiple factor factors prime primes integer integers fraction decimal percent percentage ratio "
        "proportion average mean median variance logarithm exponent root roots coefficient quadratic cubic linear "
        "slope graph domain range sequence series arithmetic geometric modulo congruent digits digit odd even "
        "positive negative real complex rational irrational parabola ellipse coordinates axis inches feet meters "
        "cm km mph gleichung wahrscheinlichkeit dreieck équation probabilité ecuación probabilidad triángulo "
        "equazione probabilità уравнение вероятность треугольник równanie prawdopodobieństwo denklem olasılık 方程 "
        "概率 三角形 方程式 確率 방정식 확률"
    ),
    "story_math": (
        "each total altogether remaining left twice half thrice dozen per cost costs price spend spends spent "
        "bought buys sells sold earn earns earned pays paid gave gives dollars dollar cents hours minutes days "
        "weeks miles apples oranges marbles candies cookies books pencils tickets students boxes bags pounds "
        "kilograms liters gallons speed rate older younger more_than less_than fewer if_he if_she how_many "
        "how_much in_total as_many"
    ),
    "science_word": (
        "physics chemistry biology quantum electron electrons proton neutron atom atoms molecule molecules energy "
        "force velocity acceleration mass momentum gravity voltage current resistance magnetic electric wave "
        "frequency wavelength entropy enthalpy equilibrium reaction reactions catalyst acid base solution "
        "concentration molar temperature pressure protein proteins enzyme dna rna gene genes cell cells mutation "
        "organism species hamiltonian eigenvalue relativistic spectrum nmr compound synthesis isomer orbital "
        "thermodynamics kinetics"
    ),
    "professional_word": (
        "plaintiff defendant statute contract tort liability jurisdiction constitutional court appeal amendment "
        "negligence patient diagnosis symptoms treatment clinical therapy physician disease syndrome dose marginal "
        "equilibrium elasticity monetary fiscal inflation gdp tariff audit accounting depreciation psychology "
        "cognitive sociology philosophy kant utilitarian ethics moral morally wrong_according theory hypothesis"
    ),
    "logic_word": (
        "puzzle riddle logic logical premise premises conclusion conclude valid invalid syllogism implies "
        "therefore hence if_and_only_if either neither knight knave liar truth-teller truthful lies clue clues "
        "exactly statement statements true false contradiction paradox deduce deduction infer inference rätsel "
        "énigme acertijo enigma загадка zagadka 谜 逻辑 論理 논리 suppose assume given"
    ),
    "reason_word": (
        "why because cause causes reason reasoning strategy plan planning design architecture architect optimal "
        "complexity asymptotic worst-case step_by_step think_step justify trade-off implications consequences "
        "scenario hypothetical constraints constraint prioritize feasibility counterargument thesis begründe warum "
        "pourquoi por_qué почему dlaczego 为什么 なぜ"
    ),
    "step_word": (
        "twice half third quarter double triple remaining rest then after each per every more less fewer than if "
        "ratio average total times how"
    ),
    "proportion": "% percent percentage percents / fraction ratio",
    "choice_mark": "a) b) c) d) e) options option choices which_of of_the_following none_of all_of correct_answer",
    # Extraction and structure.
    "extract_verb": (
        "extract parse pull identify classify categorize tag label annotate detect recognize list_all find_all "
        "extract_the return_only return_a output_only respond_with fill_in convert_the turn_this into_json "
        "structure normalize extrahiere extrahieren extraire extrais extrae extraer extraia estrai извлеки извлечь "
        "wyodrębnij wyciągnij haal çıkar 提取 抽取 抽出 추출 추출해"
    ),
    "extract_noun": (
        "entities entity fields field attributes attribute keys values key-value information details data metadata "
        "named person persons organization organizations location locations date dates names amounts records "
        "record items entries invoice receipt resume cv email emails phone address addresses total vendor supplier "
        "quantity felder champs campos campi поля pola velden alanlar 字段 信息 項目 필드"
    ),
    "format_word": (
        "json xml csv yaml schema format structured table markdown object array key keys valid_json json_object "
        "output_format formatted bullet columns jsonl tsv toml"
    ),
    "document_word": (
        "document text passage paragraph article following_text below transcript review message email letter note "
        "notes report statement log logs tweet post sentence sentences input context"
    ),
    # Translation.
    "translate_verb": (
        "translate translated translation translating translator render rendering localize localise subtitle "
        "interpret übersetze übersetzen übersetzung traduis traduire traduction traduisez traduce traducir "
        "traduzca traducción traduza traduzir tradução traduci tradurre traduzione переведи перевести перевод "
        "przetłumacz tłumaczenie vertaal çevir çeviri tercüme 翻译 翻訳 翻成 译成 译 訳して 번역 번역해 "
        "अनुवाद ترجم ترجمة terjemahkan dịch"
    ),
    "language_name": (
        "english french german spanish italian portuguese russian chinese mandarin cantonese japanese korean "
        "arabic hindi bengali urdu turkish polish dutch swedish norwegian danish finnish greek hebrew latin czech "
        "slovak hungarian romanian bulgarian ukrainian serbian croatian vietnamese thai indonesian malay tagalog "
        "swahili persian farsi tamil telugu punjabi welsh irish gaelic icelandic esperanto englisch französisch "
        "deutsch spanisch italienisch anglais français allemand espagnol italien inglés francés alemán español "
        "italiano inglês francês inglese francese tedesco spagnolo английский английского французский немецкий "
        "испанский русский angielski niemiecki francuski polski engels frans duits ingilizce almanca fransızca "
        "türkçe 英文 英语 中文 法语 德语 日语 英語 日本語 中国語 영어 한국어 일본어"
    ),
    "say_in": (
        "how_do_you_say do_you_say you_say say_in in_french in_spanish in_german in_english in_italian in_japanese "
        "in_chinese into_english into_french into_german into_spanish to_english to_french to_spanish to_german "
        "from_english from_german from_french mean_in means_in word_for ins_englische auf_englisch ins_deutsche "
        "en_anglais en_français al_inglés en_inglés al_español em_inglês para_inglês in_inglese на_английский "
        "по_английски na_angielski"
    ),
    # Pictures.
    "picture_noun": (
        "image images picture pictures photo photos photograph photographs screenshot screenshots chart graph "
        "diagram figure drawing painting illustration sketch scan scanned x-ray mri icon logo meme poster map "
        "blueprint infographic plot artwork snapshot selfie thumbnail caption video frame webcam camera bild foto "
        "fotos grafik capture imagen imágenes gráfico imagem imagens immagine immagini картинка картинке "
        "изображении фото снимок снимке zdjęcie zdjęciu obraz obrazku afbeelding resim resimde fotoğraf fotoğrafta "
        "图片 图像 照片 图 截图 画像 写真 図 사진 이미지 그림 चित्र तस्वीर الصورة صورة gambar"
    ),
    "picture_place": (
        "in_the_image in_this_image the_image this_image in_the_picture this_picture the_picture this_photo "
        "the_photo in_the_photo attached shown visible depicted pictured displayed appears appear_in left_side "
        "right_side foreground background look_like looks_like wearing standing sitting holding sign color colour "
        "label reads read_the see_in can_you_see do_you_see what_does_this in_the_scene scene auf_dem_bild im_bild "
        "sur_l'image sur_la_photo en_la_imagen na_imagem nell'immagine на_картинке на_фото na_zdjęciu"
    ),
    "look_verb": (
        "see look read describe identify count recognize transcribe ocr caption spot detect sehen siehst vois voit "
        "ves ve vê vedi видишь видно widzisz 看 看到 見え 보여"
    ),
    "deixis": "this these those here there it above below following attached",
    # Talk.
    "greet": (
        "hi hello hey hiya yo howdy greetings morning evening night bye goodbye farewell cheers thanks thank thx "
        "welcome sorry okay ok lol haha nice great cool awesome hallo guten tschüss danke bonjour salut merci hola "
        "gracias adiós olá oi obrigado ciao grazie привет здравствуй спасибо пока cześć dzięki hoi bedankt merhaba "
        "teşekkürler 你好 谢谢 再见 こんにちは ありがとう 안녕 고마워 नमस्ते مرحبا شكرا"
    ),
    "you_word": (
        "you your you're yours yourself u ur are_you do_you your_name your_favorite who_are tell_me_about_yourself "
        "du dein tu tes ton te tú tus você voce ты твой 你 あなた 너"
    ),
    "i_word": (
        "i i'm i've i'd my me mine myself feel feeling feelings love hate like bored tired sad happy lonely ich "
        "mein je mon moi yo mi eu meu io я мне мой ja mój ben benim 我 私 나"
    ),
    "daily": (
        "weather forecast rain temperature alarm timer remind reminder time date today tomorrow tonight recipe "
        "cook dinner lunch breakfast song music movie film joke news traffic restaurant flight hotel booking order "
        "shipping account balance card bank transfer payment password pin refund delivery appointment calendar "
        "wetter météo clima tiempo погода pogoda hava 天气 天気 날씨"
    ),
    "fact_word": (
        "capital country city president king queen founder inventor invented born died year century population "
        "tallest longest largest biggest smallest oldest first last author wrote novel album band singer actor "
        "actress director played starred season episode team won champion cup olympic award prize war battle river "
        "mountain ocean island planet animal species named called known located discovered released published "
        "hauptstadt capitale столица stolica başkent 首都 수도"
    ),
    # Open-ended writing.
    "creative_noun": (
        "poem poems haiku sonnet limerick story stories tale novel fiction lyrics song rap verse rhyme slogan "
        "tagline screenplay script dialogue monologue character plot joke jokes pun riddle metaphor motto fairy "
        "fable legend essay blog article speech caption gedicht geschichte poème histoire poema cuento historia "
        "poesia storia стихотворение рассказ сказку историю wiersz opowiadanie verhaal şiir hikaye 诗 故事 "
        "小说 詩 物語 俳句 시 이야기 कविता कहानी قصيدة قصة"
    ),
    "office_noun": (
        "email letter memo resume cover report presentation proposal outline agenda summary paragraph description "
        "advertisement ad post newsletter review speech essay itinerary plan schedule budget menu diet workout "
        "exercise routine lesson quiz survey questionnaire bio profile invitation toast"
    ),
    "role_word": (
        "you_are act_as pretend imagine roleplay role-play persona character role as_a as_an assistant expert "
        "du_bist stell_dir tu_es imagine_que eres imagina представь ты wyobraź"
    ),
    "style_word": (
        "funny humorous professional formal informal casual tone style persuasive engaging concise short brief "
        "detailed words sentences paragraphs bullet audience"
    ),
    # Risk.
    "harm_act": (
        "kill murder assassinate poison stab shoot strangle torture kidnap rape molest assault attack bomb "
        "detonate explode blow burn arson destroy sabotage vandalize steal rob burglarize shoplift embezzle "
        "launder counterfeit forge fake scam defraud swindle cheat blackmail extort bribe hack crack breach "
        "exploit phish spoof ddos stalk spy harass bully threaten intimidate humiliate groom abuse traffick "
        "smuggle deal sell_drugs cook_meth overdose suicide self-harm hurt harm injure manipulate brainwash "
        "radicalize recruit incite discriminate töten stehlen tuer voler matar robar roubar uccidere rubare убить "
        "украсть zabić ukraść öldürmek çalmak 杀 偷 殺 盗 죽이 훔치"
    ),
    "harm_thing": (
        "bomb bombs explosive explosives weapon weapons gun guns firearm ammunition silencer grenade pipe molotov "
        "meth methamphetamine cocaine heroin fentanyl lsd drugs ecstasy poison ricin anthrax cyanide nerve_gas "
        "chemical_weapon biological_weapon malware ransomware virus keylogger trojan spyware botnet phishing "
        "exploit password_list stolen counterfeit forged passport identity_theft credit_card_fraud ponzi "
        "pyramid_scheme child_pornography porn slave slavery trafficking cartel gang mafia terrorist terrorism "
        "extremist nazi supremacist genocide massacre hitman corpse bombe waffe drogen arme drogue arma drogas "
        "bomba оружие бомбу наркотики broń narkotyki silah uyuşturucu 炸弹 武器 毒品 爆弾 폭탄 마약"
    ),
    "harm_way": (
        "illegally illegal without_getting getting_caught being_caught get_away away_with undetected untraceable "
        "anonymously secretly without_consent without_their bypass evade avoid_detection undetectable covertly "
        "deceive deceptive fraudulent fake false misleading dark_web black_market revenge without_permission "
        "without_paying unnoticed avoid_paying tax_evasion someone_else's someone's victim victims vulnerable "
        "naive target targeted"
    ),
    "harm_group": (
        "women men black white jews jewish muslims muslim immigrants immigrant gay gays lesbian lesbians "
        "transgender disabled elderly race races racial ethnic ethnicity religion minority minorities gender "
        "stereotype stereotypes inferior superior racist sexist slur slurs hatred hateful offensive derogatory "
        "children child minors teenagers teens kids"
    ),
    "jailbreak": (
        "ignore_previous ignore_all previous_instructions jailbreak dan no_restrictions without_restrictions "
        "uncensored unfiltered developer_mode bypass_your no_rules no_limits hypothetically fictional "
        "for_educational"
    ),
    "harmless_turn": (
        "process server thread linux python game minecraft fortnite character boss level zombie photo camera "
        "portrait film movie novel story history historical cake egg brisket recipe balloon weeds wasps mosquitoes "
        "ants cockroaches mold stain time boredom joke vaccine cancer cells bacteria chess presentation audience "
        "exam interview workout gym muscle basketball soccer coffee lights party"
    ),
    "protect": (
        "prevent prevention protect protecting protection defend defense detect detecting avoid avoiding safe "
        "safely safety secure security stop report reporting help_someone support recover treatment therapy quit "
        "law legal rights awareness educate policy schützen protéger proteger proteggere защитить chronić korumak "
        "保护 防止 防ぐ"
    ),
}

# Products of two groups that say more together than apart.
PRODUCTS: tuple[tuple[str, str], ...] = (
    ("make", "code_noun"),
    ("make", "code_language"),
    ("change", "code_noun"),
    ("change", "code_language"),
    ("explain", "code_noun"),
    ("code_noun", "code_language"),
    ("code_verb", "code_noun"),
    ("code_token", "code_noun"),
    ("error_word", "code_language"),
    ("make", "creative_noun"),
    ("make", "office_noun"),
    ("extract_verb", "extract_noun"),
    ("extract_verb", "format_word"),
    ("extract_noun", "format_word"),
    ("extract_verb", "document_word"),
    ("document_word", "format_word"),
    ("translate_verb", "language_name"),
    ("ask", "language_name"),
    ("say_in", "language_name"),
    ("ask", "picture_noun"),
    ("look_verb", "picture_noun"),
    ("deixis", "picture_noun"),
    ("picture_place", "deixis"),
    ("ask", "picture_place"),
    ("how_to", "harm_act"),
    ("how_to", "harm_thing"),
    ("make", "harm_thing"),
    ("make", "harm_act"),
    ("harm_act", "harm_way"),
    ("harm_act", "harm_thing"),
    ("harm_act", "harm_group"),
    ("harm_act", "harmless_turn"),
    ("harm_thing", "harmless_turn"),
    ("harm_act", "protect"),
    ("harm_thing", "protect"),
    ("harm_way", "how_to"),
    ("harm_group", "ask"),
    ("harm_group", "make"),
    ("solve", "math_word"),
    ("numbers_asked", "story_math"),
    ("math_word", "story_math"),
    ("judge", "code_noun"),
    ("judge", "professional_word"),
    ("judge", "reason_word"),
    ("choice_mark", "science_word"),
    ("choice_mark", "professional_word"),
    ("ask", "fact_word"),
    ("ask", "you_word"),
    ("ask", "daily"),
    ("i_word", "daily"),
    ("ask", "reason_word"),
    ("logic_word", "choice_mark"),
)
